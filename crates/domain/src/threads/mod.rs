//! Threads and their participants.

pub mod audit;
pub mod controller;
pub mod entity;
mod owners;
pub mod participant;
mod participants;
pub(crate) mod recent;
pub(crate) mod repository;
pub mod types;
pub(crate) mod unread;

pub use controller::Threads;
pub use entity::{History, ThreadType};
pub use participant::Role;
pub(crate) use repository::ThreadRepository;
pub use types::{
    Membership, NewRole, NewThread, Participant, ParticipantsChange, ParticipantsPatch, Thread, ThreadPatch,
};
