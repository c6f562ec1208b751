//! The messenger's settings: those that every service has, and its own.

use std::{collections::BTreeSet, ops::Deref};

pub use groundwork_web::service::settings::{Secret, SettingsError};
use groundwork_web::{
    Service,
    service::settings::{Environment, ServiceSettings, Setting, service_sections, settings_of},
};
use messenger_domain::messages::DeletePolicy;
use serde::Deserialize;
use utoipa::ToSchema;

/// All settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Those that every service has.
    pub service: ServiceSettings,
    /// Rules of the messenger.
    pub messenger: MessengerSettings,
}

/// Rules of the messenger.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct MessengerSettings {
    /// When a sender may take a message back: `unread`, while nobody else has read it, or `always`.
    #[serde(default)]
    #[schema(value_type = String, default = "unread")]
    pub message_delete_policy: DeletePolicy,
}

impl Settings {
    /// The settings of this process. Errors: as [`from_pairs`](Self::from_pairs).
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::read(&Environment::of_process())
    }

    /// The settings that these variables make. An empty one counts as unset. Errors: a value that can't be read or is
    /// out of bounds, and a missing secret in production; each names the variable.
    pub fn from_pairs(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        Self::read(&Environment::new(variables))
    }

    /// The messenger with these settings.
    pub fn service(&self) -> Service<'_> {
        Service { name: "messenger", title: "Actix Messenger", settings: &self.service }
    }

    fn read(environment: &Environment) -> Result<Self, SettingsError> {
        Ok(Self { service: ServiceSettings::read(environment)?, messenger: environment.section()? })
    }
}

impl Deref for Settings {
    type Target = ServiceSettings;

    fn deref(&self) -> &ServiceSettings {
        &self.service
    }
}

fn sections() -> Vec<(&'static str, Vec<Setting>)> {
    let mut sections = service_sections();
    sections.push(("Messenger", settings_of::<MessengerSettings>()));
    sections
}

/// The names of all settings.
pub fn names() -> BTreeSet<String> {
    sections().into_iter().flat_map(|(_, settings)| settings).map(|setting| setting.name).collect()
}

/// The reference of all settings, in Markdown: what `docs/settings.md` holds.
pub fn reference() -> String {
    groundwork_web::service::settings::reference(sections())
}
