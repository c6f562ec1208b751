//! Users: accounts and profiles.

pub mod controller;
pub mod entity;
mod presence;
pub(crate) mod repository;
pub mod search;
pub mod types;

pub use controller::{NewAccount, Users};
pub use entity::LastSeen;
pub use presence::Presence;
pub(crate) use repository::UserRepository;
pub use types::{
    NewGroup, NewUser, PermissionGroup, Profile, PublicUser, UserAdminPatch, UserPatch, UserRecord,
};
