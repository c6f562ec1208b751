//! The messenger's settings: those that every service has, and its own.

use std::{
    io,
    ops::Deref,
    path::{Path, PathBuf},
};

pub use groundwork_web::service::settings::{Secret, SettingsError};
use groundwork_web::{
    Service,
    service::settings::{Environment, FromEnvironment, Reader, Section, ServiceSettings, reference},
};
use messenger_domain::messages::DeletePolicy;

groundwork_web::settings! {
    /// Rules of the messenger.
    #[title = "Messenger"]
    pub struct MessengerSettings {
        /// When a sender may delete a message: `unread`, until somebody else has read it, or `always`.
        message_delete_policy: DeletePolicy = "unread",
        /// How long the times in `GET /messages/{id}/receipts` are exact, in days. Older receipts of
        /// a participant are folded into one row a day, and their times are those of the last one of the day.
        receipt_detail_days: u64 [1..=36_500] = 90,
        /// Whether the messenger's page is served at `/`. Without it, `/` redirects to the documentation.
        page: bool = true,
    }
}

/// The settings of the messenger.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The settings that every service has.
    pub service: ServiceSettings,
    /// Rules of the messenger.
    pub messenger: MessengerSettings,
}

/// The values of `.envs/.production` that are not the defaults.
const PRODUCTION: [(&str, &str); 3] =
    [("APP_ENV", "production"), ("DATA_DIR", "/var/lib/messenger"), ("HOST", "0.0.0.0")];

impl Settings {
    /// Reads the settings of this process. Errors: as [`from_pairs`](Self::from_pairs).
    pub fn from_env() -> Result<Self, SettingsError> {
        Environment::of_process().read()
    }

    /// Reads the settings from variables. An empty one counts as unset.
    ///
    /// # Errors
    /// All values that are not valid, by the names of the variables; `JWT_SECRET` if it is unset in production.
    pub fn from_pairs(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        Environment::new(variables).read()
    }

    /// Returns the messenger with these settings.
    pub fn service(&self) -> Service<'_> {
        Service { name: "messenger", title: "Actix Messenger", settings: &self.service }
    }
}

impl FromEnvironment for Settings {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (service, messenger) = (ServiceSettings::read(reader), MessengerSettings::read(reader));
        Some(Self { service: service?, messenger: messenger? })
    }

    fn sections() -> Vec<Section> {
        [ServiceSettings::sections(), MessengerSettings::sections()].concat()
    }
}

impl Deref for Settings {
    type Target = ServiceSettings;

    fn deref(&self) -> &ServiceSettings {
        &self.service
    }
}

/// Returns the reference of all settings in Markdown: `docs/settings.md`.
pub fn markdown() -> String {
    const INTRODUCTION: &str = "# Settings\n\n\
        Settings are environment variables. Every setting has a default for a developer's machine. An empty variable \
        counts as unset. The values are checked at start; the error names every variable that is not valid, and what is \
        allowed.\n\n\
        `.envs/.local` and `.envs/.production` list all settings. This page and both files are written by \
        `cargo run -p api -- settings --write`.";
    reference::markdown(INTRODUCTION, &Settings::sections())
}

/// Returns the files of the repository that are generated from the settings: paths relative to its root, and contents.
pub fn files() -> [(&'static str, String); 3] {
    const LOCAL: &str = "Settings for a developer's machine: an SQLite database, and a JWT secret generated at the first \
        start.\nLoad them with: set -a; . .envs/.local; set +a\nAn empty value counts as unset.";
    const FOR_PRODUCTION: &str = "Settings for production. Fill in DATABASE_URL and JWT_SECRET, and keep the filled-in \
        file out of git.\nLoad them with: set -a; . .envs/.production; set +a\nor with env_file of Compose. An empty \
        value counts as unset.";
    let sections = Settings::sections();
    [
        ("docs/settings.md", markdown()),
        (".envs/.local", reference::env_file(LOCAL, &sections, &[])),
        (".envs/.production", reference::env_file(FOR_PRODUCTION, &sections, &PRODUCTION)),
    ]
}

/// Writes [`files`] below `root`, and returns their paths.
pub fn write(root: &Path) -> io::Result<Vec<PathBuf>> {
    let write = |(path, text): (&str, String)| {
        let path = root.join(path);
        std::fs::write(&path, text).map(|()| path)
    };
    files().into_iter().map(write).collect()
}
