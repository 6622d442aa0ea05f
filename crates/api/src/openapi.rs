//! The OpenAPI document, made from the table of [`crate::operation`].

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{
        ComponentsBuilder, ContentBuilder, HttpMethod, Info, License, OpenApi, OpenApiBuilder,
        Paths, Ref, RefOr, Required, ResponseBuilder, Schema,
        path::{OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::{ObjectBuilder, SchemaType, Type},
    },
};

use crate::{
    live::{
        Changes, ClientMessage, EventsSnapshot, HostSnapshot, Items, LogBatch, ServerMessage,
        StatsSnapshot,
    },
    operation::{Answer, BASE_PATH, Method, OPERATIONS, Operation},
    problem::Problem,
};

/// Schemas by name, gathered while the document is made.
pub type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Adds a type's schema to the document and returns it with a reference; `None` for the unit type.
pub type SchemaOf = fn(&mut Schemas) -> Option<(RefOr<Schema>, RefOr<Schema>)>;

/// The [`SchemaOf`] of `T`.
pub fn schema_of<T: ToSchema>(schemas: &mut Schemas) -> Option<(RefOr<Schema>, RefOr<Schema>)> {
    if T::name() == <() as ToSchema>::name() {
        return None;
    }
    let name = name_of::<T>();
    let mut found = vec![(name.clone(), T::schema())];
    <T as ToSchema>::schemas(&mut found);
    schemas.extend(found);
    Some((RefOr::Ref(Ref::from_schema_name(name)), T::schema()))
}

/// A type's name in the document. A generic type's own name is the same whatever it holds, so what it holds stands behind it:
/// `Items_Job` of `Items<Job>`; else all lists would be described as the last one.
fn name_of<T: ToSchema>() -> String {
    let full = std::any::type_name::<T>();
    if !full.contains('<') {
        return T::name().to_string();
    }
    let parts = full.split(['<', '>', ',', ' ']);
    let parts: Vec<&str> = parts
        .filter_map(|part| part.rsplit("::").next())
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("_")
}

/// The document as an answer: an OpenAPI 3.1 object.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct ApiDocument(pub serde_json::Value);

/// Returns the document of the whole API, in OpenAPI 3.1.
pub fn document() -> OpenApi {
    let mut schemas = Schemas::new();
    schema_of::<Problem>(&mut schemas);
    for live in [
        schema_of::<ClientMessage>,
        schema_of::<ServerMessage>,
        schema_of::<Items<crate::engine::EngineInfo>>,
        schema_of::<Changes<crate::engine::EngineInfo>>,
        schema_of::<Changes<crate::container::ContainerSummary>>,
        schema_of::<Changes<crate::image::ImageSummary>>,
        schema_of::<Changes<crate::volume::VolumeSummary>>,
        schema_of::<Changes<crate::network::NetworkSummary>>,
        schema_of::<Changes<crate::job::Job>>,
        schema_of::<Changes<crate::alert::Alert>>,
        // Lists name their rows by reference alone.
        schema_of::<crate::alert::Alert>,
        schema_of::<crate::account::SessionInfo>,
        schema_of::<crate::network::NetworkSummary>,
        schema_of::<crate::image::UpdateCheck>,
        schema_of::<crate::container::ContainerRevision>,
        schema_of::<EventsSnapshot>,
        schema_of::<StatsSnapshot>,
        schema_of::<HostSnapshot>,
        schema_of::<LogBatch>,
    ] as [SchemaOf; 19]
    {
        live(&mut schemas);
    }
    let mut paths = Paths::new();
    for operation in OPERATIONS {
        let method = match operation.method {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
            Method::Patch => HttpMethod::Patch,
            Method::Put => HttpMethod::Put,
        };
        paths.add_path_operation(
            format!("{BASE_PATH}{}", operation.path),
            vec![method],
            describe(operation, &mut schemas),
        );
    }
    let mut info = Info::new("ContainerOS", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "The web API of ContainerOS. It is not a proxy of the Docker API: each request is read into a type, checked \
         against the caller's role, then sent on. Errors are `application/problem+json` (RFC 9457)."
            .to_owned(),
    );
    info.license = Some(License::new("Apache-2.0"));
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(
            ComponentsBuilder::new().schemas_from_iter(schemas).build(),
        ))
        .build()
}

/// Returns the document as it is committed: indented JSON with a line end.
///
/// # Errors
/// When a schema cannot be written as JSON.
pub fn document_json() -> Result<String, serde_json::Error> {
    document().to_pretty_json().map(|json| json + "\n")
}

fn describe(operation: &Operation, schemas: &mut Schemas) -> utoipa::openapi::path::Operation {
    let mut builder = OperationBuilder::new()
        .operation_id(Some(operation.name))
        .tag(operation.tag)
        .summary(Some(operation.summary))
        .description(Some(
            format!("Permission: {:?}.", operation.permission).to_lowercase(),
        ));
    for name in path_parameters(operation.path) {
        builder = builder.parameter(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(
                    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)),
                )),
        );
    }
    if let Some((_, RefOr::T(Schema::Object(object)))) = (operation.query)(schemas) {
        for (name, schema) in object.properties {
            let required = object.required.contains(&name);
            builder = builder.parameter(
                ParameterBuilder::new()
                    .name(name)
                    .parameter_in(ParameterIn::Query)
                    .required(if required {
                        Required::True
                    } else {
                        Required::False
                    })
                    .schema(Some(schema)),
            );
        }
    }
    if let Some((reference, _)) = (operation.body)(schemas) {
        let kind = match &reference {
            RefOr::Ref(to) if to.ref_location.ends_with("/BinaryContent") => {
                "application/octet-stream"
            }
            RefOr::Ref(to) if to.ref_location.ends_with("/TarArchive") => "application/x-tar",
            _ => "application/json",
        };
        builder = builder.request_body(Some(
            RequestBodyBuilder::new()
                .required(Some(Required::True))
                .content(kind, ContentBuilder::new().schema(Some(reference)).build())
                .build(),
        ));
    }
    let (status, description, kind) = match operation.answer {
        Answer::Ok => ("200", "Done.", Some("application/json")),
        Answer::Created => ("201", "Made.", Some("application/json")),
        Answer::Accepted => ("202", "Begun; follow the job.", Some("application/json")),
        Answer::Nothing => ("204", "Done.", None),
        Answer::Download => ("200", "The file.", Some("text/plain")),
        Answer::Bytes => ("200", "The file.", Some("application/octet-stream")),
        Answer::Archive => ("200", "The archive.", Some("application/x-tar")),
        Answer::Events => (
            "200",
            "The events, until the client leaves.",
            Some("text/event-stream"),
        ),
        Answer::Upgrade => ("101", "The socket is open.", None),
    };
    let mut response = ResponseBuilder::new().description(description);
    if let Some(kind) = kind {
        let schema = (operation.answer_body)(schemas).map_or_else(
            || RefOr::from(ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))),
            |(reference, _)| reference,
        );
        response = response.content(kind, ContentBuilder::new().schema(Some(schema)).build());
    }
    let problem = ResponseBuilder::new()
        .description("It did not work.")
        .content(
            "application/problem+json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(Problem::name())))
                .build(),
        );
    builder
        .response(status, response)
        .response("default", problem)
        .build()
}

/// Returns the names in braces of a path, in order.
pub fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_committed_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == document_json().unwrap(),
            "docs/openapi.json is not current: run `make openapi`"
        );
    }

    #[test]
    fn the_types_of_the_page_are_made_from_the_committed_document() {
        let read = |path: &str| {
            std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        };
        let digest = hex::encode(Sha256::digest(read("docs/openapi.json").as_bytes()));
        assert!(
            read("web/src/api/schema.gen.ts").contains(&format!("sha256:{digest}")),
            "web/src/api/schema.gen.ts is not current: run `make openapi`"
        );
    }

    #[test]
    fn each_list_is_described_with_its_own_rows() {
        let json: serde_json::Value = serde_json::from_str(&document_json().unwrap()).unwrap();
        for (path, row) in [
            ("/api/v1/jobs", "Job"),
            ("/api/v1/users", "User"),
            ("/api/v1/engines", "EngineInfo"),
            ("/api/v1/account/sessions", "SessionInfo"),
        ] {
            let schema = &json["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
                ["schema"]["$ref"];
            assert_eq!(schema, &format!("#/components/schemas/Items_{row}"));
            let items = &json["components"]["schemas"][format!("Items_{row}")]["properties"]["items"]
                ["items"]["$ref"];
            assert_eq!(items, &format!("#/components/schemas/{row}"));
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let json: serde_json::Value = serde_json::from_str(&document_json().unwrap()).unwrap();
        let mut stack = vec![&json];
        while let Some(value) = stack.pop() {
            match value {
                serde_json::Value::Object(map) => {
                    if let Some(serde_json::Value::String(target)) = map.get("$ref") {
                        let pointer = target.trim_start_matches('#');
                        assert!(json.pointer(pointer).is_some(), "{target}");
                    }
                    stack.extend(map.values());
                }
                serde_json::Value::Array(list) => stack.extend(list),
                _ => {}
            }
        }
    }
}
