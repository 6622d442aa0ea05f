//! The part of a list that is wanted.

use std::cmp::Ordering;

use api::page::ListQuery;
use axum::{
    Json,
    http::HeaderValue,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::ApiError;

/// Most items in one answer.
const MOST: u32 = 100_000;

/// Answers with the wanted part of a list, and how many match in all.
///
/// # Errors
/// When a field is asked for that no item has.
pub(super) fn answer<T: Serialize>(query: &ListQuery, items: Vec<T>) -> Result<Response, ApiError> {
    if *query == ListQuery::default() {
        let total = items.len();
        // As they are: nothing to look into.
        return Ok(with_total(
            Json(api::live::Items { items }).into_response(),
            total,
        ));
    }
    let mut rows = Vec::new();
    for item in &items {
        match serde_json::to_value(item).map_err(ApiError::internal)? {
            Value::Object(row) => rows.push(row),
            other => return Err(ApiError::internal(format!("a list of {other}"))),
        }
    }
    let rows = select(query, rows)?;
    let total = rows.0;
    let items = Value::Array(rows.1.into_iter().map(Value::Object).collect());
    Ok(with_total(
        Json(serde_json::json!({ "items": items })).into_response(),
        total,
    ))
}

fn with_total(mut response: Response, total: usize) -> Response {
    response
        .headers_mut()
        .insert("x-total-count", HeaderValue::from(total));
    response
}

type Row = Map<String, Value>;

/// How many match, and those that are wanted.
fn select(query: &ListQuery, mut rows: Vec<Row>) -> Result<(usize, Vec<Row>), ApiError> {
    // A name that occurs nowhere is a slip of the pen; an empty list knows no names.
    let known = |rows: &[Row], field: &str| {
        rows.is_empty() || rows.iter().any(|row| row.contains_key(field))
    };
    if let Some(filter) = &query.filter {
        for part in filter.split(',') {
            let Some((field, wanted)) = part.split_once(':') else {
                return Err(ApiError::invalid_field(
                    "filter",
                    "must be field:value, several with commas",
                ));
            };
            if !known(&rows, field) {
                return Err(ApiError::invalid_field(
                    "filter",
                    format!("no item has a field {field}"),
                ));
            }
            rows.retain(|row| row.get(field).is_some_and(|value| holds(value, wanted)));
        }
    }
    if let Some(text) = &query.search {
        let text = text.to_lowercase();
        rows.retain(|row| row.values().any(|value| mentions(value, &text)));
    }
    if let Some(sort) = &query.sort {
        let (field, turned) = sort
            .strip_prefix('-')
            .map_or((sort.as_str(), false), |field| (field, true));
        if !known(&rows, field) {
            return Err(ApiError::invalid_field(
                "sort",
                format!("no item has a field {field}"),
            ));
        }
        rows.sort_by(|a, b| {
            let order = compare(a.get(field), b.get(field));
            if turned { order.reverse() } else { order }
        });
    }
    let total = rows.len();
    let limit = query.limit.unwrap_or(MOST).min(MOST);
    let mut rows: Vec<Row> = rows
        .into_iter()
        .skip(query.offset.unwrap_or(0) as usize)
        .take(limit as usize)
        .collect();
    if let Some(fields) = &query.fields {
        let fields: Vec<&str> = fields.split(',').map(str::trim).collect();
        for field in &fields {
            if !known(&rows, field) {
                return Err(ApiError::invalid_field(
                    "fields",
                    format!("no item has a field {field}"),
                ));
            }
        }
        for row in &mut rows {
            row.retain(|key, _| fields.contains(&key.as_str()));
        }
    }
    Ok((total, rows))
}

/// The value is the text, or a list that has it.
fn holds(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Array(list) => list.iter().any(|one| holds(one, wanted)),
        Value::Object(map) => wanted.split_once('=').map_or_else(
            || map.contains_key(wanted),
            |(key, value)| map.get(key).is_some_and(|one| holds(one, value)),
        ),
        other => {
            let text = other.to_string();
            text == wanted
        }
    }
}

fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own.to_lowercase().contains(text),
        Value::Array(list) => list.iter().any(|one| mentions(one, text)),
        Value::Object(map) => map
            .iter()
            .any(|(key, one)| key.to_lowercase().contains(text) || mentions(one, text)),
        _ => false,
    }
}

/// Numbers by size, texts by the alphabet; what is not there comes last.
fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let there = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a
            .as_f64()
            .unwrap_or_default()
            .total_cmp(&b.as_f64().unwrap_or_default()),
        (Some(Value::String(a)), Some(Value::String(b))) => a
            .to_lowercase()
            .cmp(&b.to_lowercase())
            .then_with(|| a.cmp(b)),
        (a, b) if there(a) != there(b) => there(b).cmp(&there(a)),
        (Some(a), Some(b)) => a.to_string().cmp(&b.to_string()),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let all = serde_json::json!([
            { "name": "b", "state": "running", "size": 10, "tags": ["x:1"], "labels": { "team": "red" } },
            { "name": "A", "state": "exited", "size": 9, "tags": [], "labels": {} },
            { "name": "c", "state": "running", "size": null, "tags": ["y:2"], "labels": {} },
        ]);
        let Value::Array(all) = all else {
            unreachable!()
        };
        all.into_iter()
            .map(|row| row.as_object().unwrap().clone())
            .collect()
    }

    fn names(query: &ListQuery) -> (usize, Vec<String>) {
        let (total, rows) = select(query, rows()).unwrap();
        let names = rows
            .iter()
            .map(|row| row.get("name").unwrap().as_str().unwrap().to_owned());
        (total, names.collect())
    }

    #[test]
    fn lists_are_filtered_ordered_and_cut() {
        let query = |json: Value| serde_json::from_value::<ListQuery>(json).unwrap();
        let told = |json: Value| names(&query(json));
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(serde_json::json!({ "sort": "name" })),
            (3, list(&["A", "b", "c"]))
        );
        assert_eq!(
            told(serde_json::json!({ "sort": "size" })),
            (3, list(&["A", "b", "c"]))
        );
        assert_eq!(
            told(serde_json::json!({ "sort": "-name", "limit": 1, "offset": 1 })),
            (3, list(&["b"]))
        );
        assert_eq!(
            told(serde_json::json!({ "filter": "state:running,tags:y:2" })),
            (1, list(&["c"]))
        );
        assert_eq!(
            told(serde_json::json!({ "filter": "labels:team=red" })),
            (1, list(&["b"]))
        );
        assert_eq!(
            told(serde_json::json!({ "search": "RED" })),
            (1, list(&["b"]))
        );
        let (_, rows) =
            select(&query(serde_json::json!({ "fields": "name,size" })), rows()).unwrap();
        assert_eq!(rows.first().unwrap().len(), 2);
        for wrong in [
            serde_json::json!({ "sort": "nme" }),
            serde_json::json!({ "filter": "state" }),
            serde_json::json!({ "fields": "name,nope" }),
        ] {
            assert!(select(&query(wrong), self::rows()).is_err());
        }
    }
}
