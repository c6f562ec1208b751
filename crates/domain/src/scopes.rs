//! The scopes of the messenger, and the permission groups that grant them.

use groundwork_auth::{Groups, Scope};

macro_rules! scopes {
    ($($name:ident = $text:literal, $description:literal;)*) => {
        $(
            #[doc = concat!("`", $text, "`: ", $description)]
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl Scope for $name {
                const NAME: &'static str = $text;
                const DESCRIPTION: &'static str = $description;
            }
        )*

        /// All scopes with their descriptions.
        pub const ALL: &[(&str, &str)] = &[$(($text, $description)),*];
    };
}

scopes! {
    Profile = "profile", "Read and update your profile, and look up other users";
    ThreadsRead = "threads:read", "Read your threads";
    ThreadsWrite = "threads:write", "Create, update and leave threads";
    MessagesRead = "messages:read", "Read messages";
    MessagesWrite = "messages:write", "Send, edit and delete messages, and report them as delivered or read";
    MessagesAdmin = "messages:admin", "Read anybody's direct messages and delete any message";
    UsersRead = "users:read", "List all users";
    UsersAdmin = "users:admin", "Update, delete and restore users";
    UsersSuperuser = "users:superuser", "Change the permission groups of users";
}

/// The scopes of every user.
const REGULAR: &[&str] =
    &[Profile::NAME, ThreadsRead::NAME, ThreadsWrite::NAME, MessagesRead::NAME, MessagesWrite::NAME];

const ADMIN: &[&str] = &[
    Profile::NAME,
    ThreadsRead::NAME,
    ThreadsWrite::NAME,
    MessagesRead::NAME,
    MessagesWrite::NAME,
    MessagesAdmin::NAME,
    UsersRead::NAME,
    UsersAdmin::NAME,
];

const SUPERUSER: &[&str] = &[
    Profile::NAME,
    ThreadsRead::NAME,
    ThreadsWrite::NAME,
    MessagesRead::NAME,
    MessagesWrite::NAME,
    MessagesAdmin::NAME,
    UsersRead::NAME,
    UsersAdmin::NAME,
    UsersSuperuser::NAME,
];

/// The permission groups `regular`, `admin` and `superuser`.
pub fn groups() -> Groups {
    Groups::new([("regular", REGULAR), ("admin", ADMIN), ("superuser", SUPERUSER)])
}
