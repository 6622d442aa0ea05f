//! Networks, addresses, published ports and DNS.
