//! Users: accounts and profiles.

pub mod controller;
pub mod entity;
pub(crate) mod repository;
pub mod types;

pub use controller::{NewAccount, Users};
pub(crate) use repository::UserRepository;
pub use types::{
    NewGroup, NewUser, PermissionGroup, Profile, PublicUser, UserAdminPatch, UserPatch, UserRecord,
};
