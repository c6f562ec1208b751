//! What is measured: requests, and the statements that read or write the same rows without the service.

pub mod crud;
mod read;
pub mod sync;
mod write;

use std::{fmt::Write, rc::Rc};

use crate::{
    Result,
    drive::work::{Request, Values},
    load::{
        sql::Dialect,
        world::{Block, World},
    },
    service::SECRET,
    token,
};

/// One scenario.
pub struct Scenario {
    /// Its short name.
    pub name: &'static str,
    /// The request.
    pub request: Request,
    /// The number of connections, if another than usual.
    pub connections: Option<usize>,
    /// The same straight in the database, if there is one statement for it.
    pub direct: Option<Direct>,
}

/// What to run straight in the database.
pub struct Direct {
    /// One statement; on SQLite those of a transaction.
    pub statements: Vec<String>,
    /// The values of the parameters of all of them.
    pub values: Values,
    /// Whether it writes.
    pub writes: bool,
}

/// What scenarios are made of.
#[derive(Clone)]
pub struct Ground {
    /// What is loaded.
    pub world: Rc<World>,
    /// Which database.
    pub dialect: Dialect,
    /// A token of each user.
    pub tokens: Rc<Vec<String>>,
}

impl Ground {
    /// Signs a token for each user.
    pub fn new(world: World, dialect: Dialect) -> Result<Self> {
        let now = token::now()?;
        let sign = |number| token::sign(SECRET, world.user(number), world.session(number), now);
        let tokens = (0..world.users).map(sign).collect();
        Ok(Self { world: Rc::new(world), dialect, tokens: Rc::new(tokens) })
    }

    /// The token of a user.
    pub fn token(&self, user: u64) -> &str {
        usize::try_from(user).ok().and_then(|user| self.tokens.get(user)).map_or("", String::as_str)
    }

    /// A request without a body, of the user and to the path that `of` returns for a number.
    fn get(&self, of: impl Fn(&World, u64) -> (u64, String) + 'static) -> Request {
        let ground = self.clone();
        Rc::new(move |number, out| {
            let (user, path) = of(&ground.world, number);
            ground.head(out, "GET", &path, user);
            out.extend_from_slice(b"\r\n");
        })
    }

    /// A request with a body in JSON, of the user and to the path that `of` returns for a number.
    fn post(&self, of: impl Fn(&World, u64) -> (u64, String, String) + 'static) -> Request {
        let ground = self.clone();
        Rc::new(move |number, out| {
            let (user, path, body) = of(&ground.world, number);
            ground.head(out, "POST", &path, user);
            let head =
                format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            out.extend_from_slice(head.as_bytes());
        })
    }

    fn head(&self, out: &mut Vec<u8>, method: &str, path: &str, user: u64) {
        let token = self.token(user);
        let mut head = String::with_capacity(token.len() + path.len() + 100);
        // Writing to a string does not fail.
        let _ = write!(
            head,
            "{method} /api/v1{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
        );
        out.extend_from_slice(head.as_bytes());
    }

    /// One statement that reads.
    fn reads(&self, sql: String, values: impl Fn(&World, u64) -> Vec<String> + 'static) -> Direct {
        let world = Rc::clone(&self.world);
        Direct { statements: vec![sql], values: Rc::new(move |number| values(&world, number)), writes: false }
    }
}

/// All scenarios of the messenger, in the order of the report.
pub fn all(ground: &Ground) -> Vec<Scenario> {
    let mut all = read::scenarios(ground);
    all.extend(write::scenarios(ground));
    all
}

/// A number that looks like chance, always the same for the same number.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// One of the ordinary users.
fn ordinary(world: &World, number: u64) -> u64 {
    crate::load::world::FIRST_ORDINARY + mix(number) % world.ordinary()
}

/// One of the threads of a block.
fn one_of(block: &Block, number: u64) -> u64 {
    mix(number) % block.threads
}
