//! Users: their accounts and profiles.

pub mod controller;
pub mod entity;
pub mod repository;
pub mod types;

pub use controller::{NewAccount, Users};
pub use repository::UserRepository;
pub use types::{
    NewGroup, NewUser, PermissionGroup, Profile, PublicUser, UserAdminPatch, UserPatch, UserRecord,
};
