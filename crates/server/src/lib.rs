//! The ContainerOS web server: sign-in, state mirror, sampler, history, live push, jobs.
