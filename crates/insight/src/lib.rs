//! What it means: explanations, rules for errors and risks, comparisons.
//!
//! Pure and portable: facts in, plain sentences out, no reading and no waiting. The facts are those of [`observe`].
//!
//! - [`namespaces`], [`limits`], [`capabilities`], [`confinement`], [`filesystem`], [`network`]: what a fact of
//!   a container's inside means;
//! - [`exit`]: why a container ended or did not start, how sure that is, and what to do;
//! - [`compare`]: the isolation of several containers side by side;
//! - [`text`]: numbers for people.

pub mod capabilities;
pub mod compare;
pub mod confinement;
pub mod exit;
pub mod filesystem;
pub mod limits;
pub mod namespaces;
pub mod network;
pub mod text;

pub use exit::{ExitFacts, Explanation, Grade, explain_exit, explain_start_error};
