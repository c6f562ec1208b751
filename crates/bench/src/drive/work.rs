//! The works: an HTTP request, and a prepared statement.

use std::{net::SocketAddr, rc::Rc};

use super::{Worker, http::Http};
use crate::{Result, direct::wire::Wire};

/// Writes the request with a number.
pub type Request = Rc<dyn Fn(u64, &mut Vec<u8>)>;
/// The values of the statement with a number.
pub type Values = Rc<dyn Fn(u64) -> Vec<String>>;

/// Sends requests over one connection.
pub struct Requests {
    http: Http,
    request: Request,
    buffer: Vec<u8>,
}

/// Connects so many.
pub async fn requests(address: SocketAddr, count: usize, request: &Request) -> Result<Vec<Requests>> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let http = Http::connect(address).await?;
        all.push(Requests { http, request: Rc::clone(request), buffer: Vec::new() });
    }
    Ok(all)
}

impl Worker for Requests {
    async fn work(&mut self, number: u64) -> Result<bool> {
        self.buffer.clear();
        (self.request)(number, &mut self.buffer);
        let status = self.http.send(&self.buffer).await?;
        Ok((200..300).contains(&status))
    }
}

/// Runs a prepared statement over one connection.
pub struct Statements {
    /// The connection, which has the statement.
    pub wire: Wire,
    /// Its values.
    pub values: Values,
}

impl Worker for Statements {
    async fn work(&mut self, number: u64) -> Result<bool> {
        let values = (self.values)(number);
        self.wire.execute(&values).await?;
        Ok(true)
    }
}
