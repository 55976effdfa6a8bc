//! Clusters: making, importing, starting, ending and showing them.
//!
//! Start at [`import`](fn@import) for what a declared cluster is made of, and at [`status`](fn@status) for what can be
//! said of one.

mod create;
mod folder;
mod import;
mod run;
mod selector;
mod show;
mod status;

pub(crate) use create::blank;
pub use create::{create, rename};
pub(crate) use folder::home;
pub use folder::{FOLDER_DEFAULT, create_folder, folders, list, list_folder, may_create};
pub use import::{PoolSpec, Spec, import};
pub(crate) use run::operate;
pub use run::{Deletion, delete, start, stop};
pub use selector::Selector;
pub(crate) use selector::{permitted, view};
pub use show::{census, get};
pub use status::{BucketStatus, Figures, PoolStatus, Status, bucket_max, status};
