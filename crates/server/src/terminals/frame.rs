//! The binary frames of a terminal's socket; `api::terminal` has the table.

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FromClient {
    /// Input for the program.
    Input(Vec<u8>),
    /// The terminal's size.
    Size { columns: u16, rows: u16 },
    /// It has read up to this offset.
    Read(u64),
}

const DATA: u8 = 0;
const SIZE: u8 = 1;
const END: u8 = 2;
const READ: u8 = 3;
const BEGINS: u8 = 4;

/// Reads a client's frame; `None` when it is none.
pub(super) fn decode(frame: &[u8]) -> Option<FromClient> {
    let (kind, rest) = frame.split_first()?;
    match *kind {
        DATA => Some(FromClient::Input(rest.to_vec())),
        SIZE => {
            let (columns, rows) = rest.split_first_chunk::<2>()?;
            let columns = u16::from_be_bytes(*columns);
            let rows = u16::from_be_bytes(rows.try_into().ok()?);
            (columns > 0 && rows > 0).then_some(FromClient::Size { columns, rows })
        }
        READ => Some(FromClient::Read(u64::from_be_bytes(rest.try_into().ok()?))),
        _ => None,
    }
}

/// Output.
pub(super) fn data(bytes: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(bytes.len() + 1);
    frame.push(DATA);
    frame.extend_from_slice(bytes);
    frame
}

/// The program has ended; -1 when nobody knows with what.
pub(super) fn end(exit_code: Option<i64>) -> Vec<u8> {
    let code = exit_code
        .and_then(|code| i32::try_from(code).ok())
        .unwrap_or(-1);
    let mut frame = vec![END];
    frame.extend_from_slice(&code.to_be_bytes());
    frame
}

/// Where the next output begins.
pub(super) fn begins(offset: u64) -> Vec<u8> {
    let mut frame = vec![BEGINS];
    frame.extend_from_slice(&offset.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_the_table_says() {
        assert_eq!(decode(b"\0ls\n"), Some(FromClient::Input(b"ls\n".to_vec())));
        assert_eq!(
            decode(&[1, 0, 80, 0, 24]),
            Some(FromClient::Size {
                columns: 80,
                rows: 24
            })
        );
        assert_eq!(
            decode(&[3, 0, 0, 0, 0, 0, 0, 1, 0]),
            Some(FromClient::Read(256))
        );
        assert_eq!(end(Some(130)), [2, 0, 0, 0, 130]);
        assert_eq!(end(None), [2, 255, 255, 255, 255]);
        assert_eq!(begins(256), [4, 0, 0, 0, 0, 0, 0, 1, 0]);
        for wrong in [&b""[..], &[1, 0, 0, 0, 24], &[1, 0, 80], &[3, 1], &[9, 1]] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read_without_harm(frame in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)) {
            drop(decode(&frame));
        }
    }
}
