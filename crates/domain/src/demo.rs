//! The ids of some rows of the demo, the same in every database, so that the examples of the OpenAPI document work after
//! `api seed`.

use groundwork_core::Uuid;

/// The user `ada`, whom the examples are for.
pub const ADA: Uuid = Uuid::from_u128(0x01a1_fb67_1800_7000_8000_0000_0000_0001);
/// The user `charles`, in the group.
pub const CHARLES: Uuid = Uuid::from_u128(0x01a1_fb67_1800_7000_8000_0000_0000_0002);
/// The user `grace`, in the group.
pub const GRACE: Uuid = Uuid::from_u128(0x01a1_fb67_1800_7000_8000_0000_0000_0003);
/// The user `alan`, in the group.
pub const ALAN: Uuid = Uuid::from_u128(0x01a1_fb67_1800_7000_8000_0000_0000_0004);
/// The user `emmy`, who is not in the group.
pub const EMMY: Uuid = Uuid::from_u128(0x01a1_fb67_1800_7000_8000_0000_0000_0005);
/// The group `Engines`, which `ada` owns.
pub const ENGINES: Uuid = Uuid::from_u128(0x01a1_fb67_1800_7000_8000_0000_0000_0011);
/// A message that `ada` sent, and nobody has read.
pub const SENT: Uuid = Uuid::from_u128(0x01a1_fb67_1800_7000_8000_0000_0000_0021);
/// A message that `ada` received.
pub const RECEIVED: Uuid = Uuid::from_u128(0x01a1_fb67_1800_7000_8000_0000_0000_0022);
