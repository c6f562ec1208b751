//! Threads and who takes part in them.

pub mod controller;
pub mod entity;
pub mod participant;
pub mod repository;
pub mod types;

pub use controller::Threads;
pub use entity::{History, ThreadType};
pub use participant::Role;
pub use repository::ThreadRepository;
pub use types::{NewRole, NewThread, Participant, ParticipantsPatch, Thread, ThreadPatch};
