//! Properties of a unit in a container's annotations: `org.systemd.property.TimeoutStopUSec: uint64 5000000`.
//!
//! The values are written as text of GVariant, of which this reads what properties are made of: strings, truth values, numbers
//! with or without their type, and lists of these.
//! Source: runc `docs/systemd.md`; GLib, GVariant Text Format.

use super::properties::Property;
use super::wire::Value;
use crate::Error;

const PREFIX: &str = "org.systemd.property.";

/// The property that an annotation sets; [`None`] for one that is about something else.
///
/// A name that ends with `Sec` is systemd's word for users: the property itself is in microseconds, and so is its value then.
///
/// # Errors
/// [`Error::Invalid`] for a name or a value that is none.
pub fn property(key: &str, value: &str) -> Result<Option<Property>, Error> {
    let Some(name) = key.strip_prefix(PREFIX) else {
        return Ok(None);
    };
    let invalid = |reason: &str| Error::Invalid {
        what: format!("annotation {key}"),
        value: format!("{value:?}"),
        reason: reason.to_owned(),
    };
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(invalid("is not the name of a property"));
    }
    let parsed = parse(value).ok_or_else(|| invalid("cannot be read as a value"))?;
    let seconds = name
        .strip_suffix("Sec")
        .filter(|stem| stem.ends_with(|letter: char| letter.is_ascii_lowercase()));
    match seconds {
        None => Ok(Some((name.to_owned(), parsed))),
        Some(stem) => match microseconds(&parsed) {
            Some(microseconds) => Ok(Some((format!("{stem}USec"), Value::Uint64(microseconds)))),
            None => Err(invalid("is not a number of seconds")),
        },
    }
}

fn microseconds(seconds: &Value) -> Option<u64> {
    let whole = match *seconds {
        Value::Byte(number) => i64::from(number),
        Value::Int16(number) => number.into(),
        Value::Uint16(number) => number.into(),
        Value::Int32(number) => number.into(),
        Value::Uint32(number) => number.into(),
        Value::Int64(number) => number,
        Value::Uint64(number) => i64::try_from(number).ok()?,
        Value::Double(number) => {
            return std::time::Duration::try_from_secs_f64(number)
                .ok()
                .and_then(|time| u64::try_from(time.as_micros()).ok());
        }
        _ => return None,
    };
    u64::try_from(whole).ok()?.checked_mul(1_000_000)
}

/// A value from text; [`None`] for what is none.
pub fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Some(list) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return parse_list(list);
    }
    if let Some(inner) = quoted(text) {
        return Some(Value::String(inner));
    }
    match text {
        "true" => return Some(Value::Boolean(true)),
        "false" => return Some(Value::Boolean(false)),
        _ => {}
    }
    if let Some((kind, rest)) = text.split_once(' ') {
        return typed(kind, rest.trim());
    }
    // A number without a type is a small one, or one with a point.
    text.parse()
        .map(Value::Int32)
        .or_else(|_| finite(text).ok_or(()).map(Value::Double))
        .ok()
}

fn finite(text: &str) -> Option<f64> {
    text.contains('.')
        .then(|| text.parse::<f64>().ok())
        .flatten()
        .filter(|number| number.is_finite())
}

fn typed(kind: &str, text: &str) -> Option<Value> {
    Some(match kind {
        "byte" | "@y" => Value::Byte(text.parse().ok()?),
        "int16" | "@n" => Value::Int16(text.parse().ok()?),
        "uint16" | "@q" => Value::Uint16(text.parse().ok()?),
        "int32" | "@i" => Value::Int32(text.parse().ok()?),
        "uint32" | "@u" => Value::Uint32(text.parse().ok()?),
        "int64" | "@x" => Value::Int64(text.parse().ok()?),
        "uint64" | "@t" => Value::Uint64(text.parse().ok()?),
        "double" | "@d" => Value::Double(
            text.parse()
                .ok()
                .filter(|number: &f64| number.is_finite())?,
        ),
        "boolean" | "@b" => Value::Boolean(text.parse().ok()?),
        "string" | "@s" => Value::String(quoted(text)?),
        "@as" if text == "[]" => Value::Array("s".into(), Vec::new()),
        "@as" => match parse(text)? {
            list @ Value::Array(_, _) if list.signature() == "as" => list,
            _ => return None,
        },
        _ => return None,
    })
}

/// Items of one type, between commas that are in no string.
fn parse_list(text: &str) -> Option<Value> {
    let mut items = Vec::new();
    let mut rest = text;
    loop {
        let end = end_of_item(rest)?;
        let (item, tail) = rest.split_at_checked(end)?;
        items.push(parse(item)?);
        match tail.strip_prefix(',') {
            Some(tail) => rest = tail,
            None => break,
        }
    }
    let kind = items.first()?.signature();
    items
        .iter()
        .all(|item| item.signature() == kind)
        .then_some(Value::Array(kind, items))
}

fn end_of_item(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            // Lists in lists no property has.
            (None, '[' | ']') => return None,
            (None, ',') => return Some(at),
            _ => {}
        }
    }
    quote.is_none().then_some(text.len())
}

/// What stands between a pair of quotes, with its backslashes undone.
fn quoted(text: &str) -> Option<String> {
    let mut letters = text.chars();
    let open = letters
        .next()
        .filter(|letter| matches!(letter, '\'' | '"'))?;
    let mut inner = String::new();
    loop {
        match letters.next()? {
            '\\' => inner.push(match letters.next()? {
                'n' => '\n',
                't' => '\t',
                letter @ ('\\' | '\'' | '"') => letter,
                _ => return None,
            }),
            '\0' => return None,
            letter if letter == open => break,
            letter => inner.push(letter),
        }
    }
    letters.next().is_none().then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_and_without_their_type() {
        for (text, value) in [
            ("'a \\'b\\''", Value::text("a 'b'")),
            ("\"x\"", Value::text("x")),
            ("true", Value::Boolean(true)),
            ("5", Value::Int32(5)),
            ("-5", Value::Int32(-5)),
            ("1.5", Value::Double(1.5)),
            ("uint64 123456789", Value::Uint64(123_456_789)),
            ("@t 7", Value::Uint64(7)),
            (
                "['a', 'b,c']",
                Value::Array("s".into(), vec![Value::text("a"), Value::text("b,c")]),
            ),
            ("@as []", Value::Array("s".into(), vec![])),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for bad in [
            "",
            "'",
            "'a",
            "x",
            "uint64 -1",
            "byte 300",
            "[]",
            "['a', 5]",
            "[[1]]",
            "'a' b",
            "nan",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn annotations_are_properties_and_seconds_are_microseconds() {
        let of = |key: &str, value: &str| property(key, value);
        assert_eq!(of("com.example.x", "'y'").unwrap(), None);
        assert_eq!(
            of("org.systemd.property.CollectMode", "'inactive-or-failed'").unwrap(),
            Some(("CollectMode".into(), Value::text("inactive-or-failed")))
        );
        assert_eq!(
            of("org.systemd.property.TimeoutStopSec", "2.5").unwrap(),
            Some(("TimeoutStopUSec".into(), Value::Uint64(2_500_000)))
        );
        assert_eq!(
            of("org.systemd.property.TimeoutStopUSec", "uint64 9").unwrap(),
            Some(("TimeoutStopUSec".into(), Value::Uint64(9)))
        );
        for (key, value) in [
            ("org.systemd.property.", "1"),
            ("org.systemd.property.A-b", "1"),
            ("org.systemd.property.Delegate", "nonsense"),
            ("org.systemd.property.TimeoutStopSec", "'x'"),
            ("org.systemd.property.TimeoutStopSec", "-1"),
        ] {
            assert!(of(key, value).is_err(), "{key} {value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_value_or_none(text in "\\PC*") {
            let _ = parse(&text);
            drop(property("org.systemd.property.FooSec", &text));
            drop(property(&format!("{PREFIX}{text}"), "1"));
        }
    }
}
