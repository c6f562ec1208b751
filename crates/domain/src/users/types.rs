//! The requests and responses about users.

use groundwork_auth::Groups;
use groundwork_core::{
    Change, FieldErrors, NullableChange, Text, Timestamp, Uuid, Validate, text::EmailFormat,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::entity::{LastSeen, Model};

/// A username.
pub type Username = Text<3, 50>;
/// A first or last name.
pub type PersonName = Text<1, 100>;
/// An e-mail address; its length is that of a path in RFC 5321, section 4.5.3.1.3, without the brackets.
pub type EmailAddress = Text<1, 254, EmailFormat>;
/// What a user says about themselves.
pub type Bio = Text<1, 500>;
/// The maximum number of ids in one request for public profiles.
pub const MAX_IDS: usize = 100;
/// The maximum number of words in a search for users.
pub const MAX_SEARCH_WORDS: usize = 5;

/// A new account.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "katherine", "password": "Correct-Horse-1", "email": "katherine@example.org"}))]
pub struct NewUser {
    /// 3 to 50 letters, digits, `_`, `.` and `-`; case-insensitive.
    pub username: Username,
    /// At least 8 characters and at most 72 bytes, and none of the most common passwords. The settings of the service may ask
    /// for more.
    #[schema(example = "Correct-Horse-1", format = "password", min_length = 8)]
    pub password: String,
    /// The e-mail address; it can be used to sign in.
    #[serde(default)]
    pub email: Option<EmailAddress>,
    /// The first name.
    #[serde(default)]
    pub first_name: Option<PersonName>,
    /// The last name.
    #[serde(default)]
    pub last_name: Option<PersonName>,
}

impl Validate for NewUser {
    fn validate(&self, errors: &mut FieldErrors) {
        check_username(&self.username, errors);
        check_email(self.email.as_ref(), errors);
        check_text("first_name", self.first_name.as_ref(), errors);
        check_text("last_name", self.last_name.as_ref(), errors);
    }
}

/// A change of your profile. An absent field stays as it is; null clears a field.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org", "bio": "Counting on engines."}))]
pub struct UserPatch {
    /// The new username.
    #[serde(default)]
    pub username: Change<Username>,
    /// The new e-mail address, which is not confirmed.
    #[serde(default)]
    pub email: NullableChange<EmailAddress>,
    /// The first name.
    #[serde(default)]
    pub first_name: NullableChange<PersonName>,
    /// The last name.
    #[serde(default)]
    pub last_name: NullableChange<PersonName>,
    /// A text about the user.
    #[serde(default)]
    pub bio: NullableChange<Bio>,
    /// Who sees whether you are online, and when you last were: `contacts` are those who are in a thread with you.
    #[serde(default)]
    pub last_seen: Change<LastSeen>,
}

/// A change of a user by an administrator. An absent field stays as it is; null clears a field.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ada@example.org", "email_confirmed": true}))]
pub struct UserAdminPatch {
    /// The new username.
    #[serde(default)]
    pub username: Change<Username>,
    /// The new e-mail address, which is not confirmed unless `email_confirmed` is true.
    #[serde(default)]
    pub email: NullableChange<EmailAddress>,
    /// Whether the e-mail address belongs to the user.
    #[serde(default)]
    pub email_confirmed: Change<bool>,
    /// The first name.
    #[serde(default)]
    pub first_name: NullableChange<PersonName>,
    /// The last name.
    #[serde(default)]
    pub last_name: NullableChange<PersonName>,
    /// A text about the user.
    #[serde(default)]
    pub bio: NullableChange<Bio>,
    /// False ends all sessions and prevents further sign-ins.
    #[serde(default)]
    pub is_active: Change<bool>,
    /// Only the user can change it.
    #[serde(skip)]
    pub last_seen: Change<LastSeen>,
}

impl From<UserPatch> for UserAdminPatch {
    fn from(patch: UserPatch) -> Self {
        let UserPatch { username, email, first_name, last_name, bio, last_seen } = patch;
        let (email_confirmed, is_active) = (Change::Absent, Change::Absent);
        Self { username, email, email_confirmed, first_name, last_name, bio, is_active, last_seen }
    }
}

impl Validate for UserPatch {
    fn validate(&self, errors: &mut FieldErrors) {
        UserAdminPatch::from(self.clone()).validate(errors);
    }
}

impl Validate for UserAdminPatch {
    fn validate(&self, errors: &mut FieldErrors) {
        let Self { username, email, email_confirmed, first_name, last_name, bio, is_active, last_seen } =
            self;
        let empty = username.is_absent()
            && email.is_absent()
            && email_confirmed.is_absent()
            && first_name.is_absent()
            && last_name.is_absent()
            && bio.is_absent()
            && is_active.is_absent()
            && last_seen.is_absent();
        errors.check(!empty, "", "empty", "must name at least one field");
        if let Some(username) = username.value() {
            check_username(username, errors);
        }
        check_email(email.value(), errors);
        check_text("first_name", first_name.value(), errors);
        check_text("last_name", last_name.value(), errors);
        check_text("bio", bio.value(), errors);
    }
}

fn check_username(username: &Username, errors: &mut FieldErrors) {
    username.check("username", errors);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    errors.check(
        username.chars().all(allowed),
        "username",
        "bad_characters",
        "must contain only letters from a to z, digits, '_', '.' and '-'",
    );
    // Some parameters take a username or an id.
    let like_id = username.parse::<Uuid>().is_ok();
    errors.check(!like_id, "username", "looks_like_id", "must not look like an id");
}

fn check_email(email: Option<&EmailAddress>, errors: &mut FieldErrors) {
    let Some(email) = email else { return };
    let shaped = email.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !email.contains(char::is_whitespace)
    });
    errors.check(shaped, "email", "bad_format", "must be an e-mail address");
    email.check("email", errors);
}

fn check_text<const MIN: usize, const MAX: usize>(
    field: &str,
    text: Option<&Text<MIN, MAX>>,
    errors: &mut FieldErrors,
) {
    if let Some(text) = text {
        text.check(field, errors);
    }
}

/// The permission group to set.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// The group.
    pub group: PermissionGroup,
}

impl Validate for NewGroup {
    fn validate(&self, _: &mut FieldErrors) {}
}

/// A permission group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PermissionGroup {
    /// Can use the messenger.
    Regular,
    /// Can also list, update, delete and restore users, and delete any message.
    Admin,
    /// Can also change the permission groups of users.
    Superuser,
}

impl PermissionGroup {
    /// Returns the name, as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Admin => "admin",
            Self::Superuser => "superuser",
        }
    }
}

/// The profile of the signed-in user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    /// The id.
    pub id: Uuid,
    /// The username, in lower case.
    #[schema(example = "ada")]
    pub username: String,
    /// The e-mail address, in lower case.
    #[schema(example = "ada@example.org")]
    pub email: Option<String>,
    /// Whether the e-mail address belongs to the user.
    pub email_confirmed: bool,
    /// The first name.
    #[schema(example = "Ada")]
    pub first_name: Option<String>,
    /// The last name.
    #[schema(example = "Lovelace")]
    pub last_name: Option<String>,
    /// A text about the user.
    #[schema(example = "Counting on engines.")]
    pub bio: Option<String>,
    /// Whether the user can sign in.
    pub is_active: bool,
    /// Whether signing in needs a second factor.
    pub mfa_enabled: bool,
    /// The permission group.
    #[schema(example = "regular")]
    pub group: String,
    /// The scopes of the permission group.
    #[schema(example = json!(["messages:read", "messages:write"]))]
    pub scopes: Vec<String>,
    /// Who sees whether the user is online, and when they last were.
    pub last_seen: LastSeen,
    /// When the user was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Profile {
    /// Returns the profile of `user`.
    pub fn new(user: Model, groups: &Groups) -> Self {
        Self {
            scopes: groups.scopes(&user.group).names(),
            id: user.id,
            username: user.username,
            email: user.email,
            email_confirmed: user.email_confirmed,
            first_name: user.first_name,
            last_name: user.last_name,
            bio: user.bio,
            is_active: user.is_active,
            mfa_enabled: user.mfa_enabled,
            group: user.group,
            last_seen: user.last_seen,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// A user, as administrators see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserRecord {
    /// The profile.
    #[serde(flatten)]
    pub profile: Profile,
    /// When the user was deleted, or null.
    pub deleted_at: Option<Timestamp>,
}

impl UserRecord {
    /// Returns the record of `user`.
    pub fn new(user: Model, groups: &Groups) -> Self {
        Self { deleted_at: user.deleted_at, profile: Profile::new(user, groups) }
    }
}

/// A user, as other users see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PublicUser {
    /// The id.
    pub id: Uuid,
    /// The username, in lower case.
    #[schema(example = "ada")]
    pub username: String,
    /// The first name.
    #[schema(example = "Ada")]
    pub first_name: Option<String>,
    /// The last name.
    #[schema(example = "Lovelace")]
    pub last_name: Option<String>,
    /// A text about the user.
    #[schema(example = "Counting on engines.")]
    pub bio: Option<String>,
    /// Whether the user can sign in.
    pub is_active: bool,
    /// When the user was created.
    pub created_at: Timestamp,
}

impl From<Model> for PublicUser {
    fn from(user: Model) -> Self {
        Self {
            id: user.id,
            username: user.username,
            first_name: user.first_name,
            last_name: user.last_name,
            bio: user.bio,
            is_active: user.is_active,
            created_at: user.created_at,
        }
    }
}
