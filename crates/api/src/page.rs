//! What part of a list is wanted, the same for all lists.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Filter, order and part of a list. The header `X-Total-Count` tells how many match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListQuery {
    /// Only items that hold this text in any of their texts, whatever the case.
    pub search: Option<String>,
    /// Only items whose field has this value: `state:running`; several with commas, all of which must hold.
    pub filter: Option<String>,
    /// By this field; a `-` in front turns the order around: `-created_at`.
    pub sort: Option<String>,
    /// So many are left out at the beginning.
    pub offset: Option<u32>,
    /// So many at most.
    pub limit: Option<u32>,
    /// Only these fields, with commas: `id,name,state`.
    pub fields: Option<String>,
}
