//! A database that is filled, and the service on it.

use std::path::{Path, PathBuf};

use crate::{
    Result,
    load::{
        self,
        sql::Dialect,
        store::Store,
        world::{Sizes, World},
    },
    measure::Subject,
    postgres::Cluster,
    scenario::{Ground, sync},
    service::Service,
    token,
};

/// Where everything is.
#[derive(Debug)]
pub struct Place {
    /// The service's binary.
    pub binary: PathBuf,
    /// The folder of all data.
    pub folder: PathBuf,
    /// The PostgreSQL server; without it the database is SQLite.
    pub cluster: Option<Cluster>,
}

/// A filled database with the service on it.
pub struct Stage {
    /// The service.
    pub service: Service,
    /// What is in the database.
    pub ground: Ground,
    /// What is measured.
    pub subject: Subject,
    /// The bytes on the disk, and the messages that are loaded.
    pub loaded: (u64, u64),
}

impl Place {
    /// Begins to work in `folder` with the database that is named.
    pub async fn new(dialect: Dialect, binary: &Path, folder: &Path) -> Result<Self> {
        let cluster = match dialect {
            Dialect::Postgres => Some(Cluster::start(folder).await?),
            Dialect::Sqlite => None,
        };
        Ok(Self { binary: binary.to_owned(), folder: folder.to_owned(), cluster })
    }

    /// Which database it is.
    pub fn dialect(&self) -> Dialect {
        if self.cluster.is_some() { Dialect::Postgres } else { Dialect::Sqlite }
    }

    fn url(&self, name: &str) -> String {
        match &self.cluster {
            Some(cluster) => cluster.url(name),
            None => format!("sqlite://{}", self.file(name).display()),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.db"))
    }

    async fn store(&self, name: &str) -> Result<Store> {
        match &self.cluster {
            Some(cluster) => Ok(Store::Postgres(cluster.connect(name).await?)),
            None => Store::sqlite(&self.file(name)),
        }
    }

    /// Makes and fills a database, and starts the service on it with these settings.
    pub async fn stage(&self, name: &str, sizes: Sizes, settings: &[(&str, &str)]) -> Result<Stage> {
        if let Some(cluster) = &self.cluster {
            cluster.create(name).await?;
        }
        // The first start makes the schema.
        drop(Service::start(&self.binary, &self.folder, &self.url(name), &[]).await?);
        let world = World::new(sizes, token::now()? * 1000 - 60_000);
        let mut store = self.store(name).await?;
        load::load(&mut store, &world).await?;
        let size = match store.dialect() {
            Dialect::Postgres => store.number(SIZE).await?,
            Dialect::Sqlite => self.file(name).metadata()?.len(),
        };
        let messages = store.number("SELECT count(*) FROM messages").await?;
        let ground = Ground::new(world, store.dialect())?;
        drop(store);
        self.again(name, ground, (size, messages), settings).await
    }

    /// Starts the service on a database that is filled.
    pub async fn again(
        &self,
        name: &str,
        ground: Ground,
        loaded: (u64, u64),
        settings: &[(&str, &str)],
    ) -> Result<Stage> {
        let service = Service::start(&self.binary, &self.folder, &self.url(name), settings).await?;
        sync::delivers(&ground, service.address).await?;
        let subject = self.subject(name, &service);
        Ok(Stage { service, ground, subject, loaded })
    }

    /// Makes an empty database, and starts another service on it.
    pub async fn other(&self, name: &str, binary: &Path) -> Result<(Service, Subject)> {
        if let Some(cluster) = &self.cluster {
            cluster.create(name).await?;
        }
        let service = Service::start(binary, &self.folder, &self.url(name), &[]).await?;
        let subject = self.subject(name, &service);
        Ok((service, subject))
    }

    fn subject(&self, name: &str, service: &Service) -> Subject {
        Subject {
            dialect: self.dialect(),
            service: service.pid(),
            address: service.address,
            postgres: self.cluster.as_ref().map(|cluster| (cluster.pid(), cluster.port(), name.to_owned())),
            file: self.file(name),
        }
    }
}

/// The messages, their indexes and their events on the disk.
const SIZE: &str = "SELECT (pg_total_relation_size('messages') + pg_total_relation_size('events'))::bigint";
