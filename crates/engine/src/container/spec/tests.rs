use super::*;

#[test]
fn sizes_and_log_options_are_read() {
    for (text, bytes) in [
        ("10", 10),
        ("10k", 10240),
        ("10KB", 10240),
        ("1m", 1 << 20),
        ("2GiB", 2 << 30),
    ] {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
    for bad in ["", "m", "-1", "1x", "1.5m"] {
        assert_eq!(parse_size(bad), None, "{bad}");
    }
    assert_eq!(
        log_option("max-file", "3").unwrap(),
        Some(LogOption::MaxFiles(3))
    );
    assert!(log_option("max-file", "0").is_err());
    assert!(log_option("max-size", "0").is_err());
    assert!(log_option("mode", "sometimes").is_err());
}

#[test]
fn a_console_has_a_size_or_none() {
    assert_eq!(console_size(Some(&[24, 80])).unwrap().width, 80);
    assert_eq!(console_size(Some(&[0, 0])), None);
    assert_eq!(console_size(Some(&[24])), None);
    assert_eq!(console_size(Some(&[70_000, 80])), None);
}

proptest::proptest! {
    #[test]
    fn no_option_panics(key: String, value: String) {
        let _ = log_option("max-size", &value);
        let _ = log_option(&key, &value);
    }
}
