//! Hashing and verifying passwords with bcrypt, off the async threads.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> groundwork_core::Result<()> {
//! use groundwork_auth::Passwords;
//!
//! let passwords = Passwords::new(4)?; // 12 or more in production
//! let hash = passwords.hash("Correct-Horse-1").await?;
//! assert!(passwords.verify("Correct-Horse-1", Some(&hash)).await?);
//! assert!(!passwords.verify("Correct-Horse-1", None).await?, "takes as long");
//! # Ok(())
//! # }
//! ```

use std::{ops::Range, sync::Arc, thread, time::Duration};

use groundwork_core::{Code, Error, Kind, Result, error::codes};
use tokio::{
    sync::{Semaphore, oneshot},
    time,
};

use crate::policy::{MAX_BYTES, Policy};

const LOWEST_COST: u32 = 4;
const HIGHEST_COST: u32 = 31;

/// How long a sign-in waits before it hashes.
const PATIENCE: Duration = Duration::from_secs(10);

use crate::bcrypt_steps;

pub use groundwork_core::error::codes::BUSY;

/// The current password in a request of a signed-in caller is wrong. Not 401, on which a client would refresh its tokens.
pub const WRONG_PASSWORD: Code =
    Code::new("wrong_password", Kind::Forbidden, "The current password is wrong");

/// How much the threads that hash give way to others: with 10, somebody who has work gets nine times as much of a core.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Hashes and verifies passwords on threads of their own, at most as many at once as the machine has cores. They give way to
/// all others, so that sign-ins do not delay other requests.
#[derive(Clone, Debug)]
pub struct Passwords {
    cost: u32,
    policy: Policy,
    turns: Arc<Semaphore>,
    /// The hash for a sign-in with an unknown name, so that it takes as long as any other.
    decoy: Arc<str>,
}

impl Passwords {
    /// `cost` is the binary logarithm of the number of rounds, from 4 to 31. New passwords follow the default [`Policy`].
    ///
    /// # Errors
    /// `internal` for another cost.
    pub fn new(cost: u32) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // The decoy is the hash of no known password: one of the lowest cost, which says that it has another
        // one, so that the start does not take as long as a sign-in.
        let costs = |cost: u32| format!("${cost:02}$");
        let decoy = bcrypt::hash("nobody's password", LOWEST_COST).map_err(Error::internal)?;
        if !(LOWEST_COST..=HIGHEST_COST).contains(&cost) {
            return Err(Error::internal(format!("the cost of bcrypt is not from 4 to 31: {cost}")));
        }
        let decoy = decoy.replacen(&costs(LOWEST_COST), &costs(cost), 1);
        let turns = Arc::new(Semaphore::new(cores));
        Ok(Self { cost, policy: Policy::default(), turns, decoy: decoy.into() })
    }

    /// The same with another policy for new passwords.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// The policy for new passwords.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns whether `hash` took less work than a new one would.
    pub fn is_outdated(&self, hash: &str) -> bool {
        cost_of(hash).is_some_and(|cost| cost < self.cost)
    }

    /// Returns the hash of `password` with a new salt.
    ///
    /// # Errors
    /// `invalid` for more than 72 bytes; `busy`.
    pub async fn hash(&self, password: &str) -> Result<String> {
        if password.len() > MAX_BYTES {
            return Err(Error::invalid("password", "too_long", "must have at most 72 bytes in UTF-8"));
        }
        let (password, cost) = (password.to_owned(), self.cost);
        self.run(move || bcrypt_steps::hash(password.as_bytes(), cost)).await
    }

    /// Returns whether `hash` is that of `password`. Without a hash, or for a password of more than 72 bytes, it takes as
    /// long and returns `false`. So does a wrong password for a hash of a lower cost: otherwise the time would tell that the
    /// account exists.
    ///
    /// # Errors
    /// `busy`.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        let possible = hash.is_some() && password.len() <= MAX_BYTES;
        let password = if password.len() <= MAX_BYTES { password.to_owned() } else { String::new() };
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let missing = missing_rounds(&hash, self.cost);
        let verify = move || {
            let right = bcrypt_steps::verify(password.as_bytes(), &hash)? && possible;
            if !right {
                for cost in missing {
                    bcrypt_steps::hash(password.as_bytes(), cost)?;
                }
            }
            Ok(right)
        };
        self.run(verify).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> bcrypt::BcryptResult<T> + Send + 'static,
    ) -> Result<T> {
        let turn = time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| BUSY.error("too many sign-ins at once; try again in a moment"))?
            .map_err(Error::internal)?;
        let (sender, result) = oneshot::channel();
        let work = move || {
            // Held by the thread itself: a cancelled request must not free the place while the thread still works.
            let _turn = turn;
            give_way();
            // Nobody waits for the result of a cancelled request.
            let _ = sender.send(work());
        };
        // A thread for each costs far less than a hash, and takes no memory when nobody signs in.
        thread::Builder::new().name("password".to_owned()).spawn(work).map_err(Error::internal)?;
        result.await.map_err(Error::internal)?.map_err(Error::internal)
    }
}

/// The cost of a hash; `None` if it is not one of bcrypt.
fn cost_of(hash: &str) -> Option<u32> {
    hash.parse::<bcrypt::HashParts>().ok().map(|parts| parts.get_cost())
}

/// The costs of further hashes that add up, with `hash`, to the work of one hash of `cost`: each step doubles the work, so
/// 10, 10 and 11 are together as much as 12.
fn missing_rounds(hash: &str, cost: u32) -> Range<u32> {
    cost_of(hash).map_or(cost..cost, |own| own..cost)
}

/// Lowers the priority of this thread. On Linux a thread has a priority of its own.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the priority of a thread was not lowered");
    }
}

/// The refusal of a wrong name or password, the same for every cause.
pub fn bad_credentials() -> Error {
    codes::BAD_CREDENTIALS.error("the name or the password is wrong, or the account is not active")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn knows_its_own_hash_and_no_other() {
        let passwords = Passwords::new(4).unwrap();
        let hash = passwords.hash("Correct1").await.unwrap();
        assert!(passwords.verify("Correct1", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("Correct2", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("Correct1", None).await.unwrap());
    }

    /// The decoy takes as long as a hash of that cost, and no password is its own.
    #[tokio::test]
    async fn the_decoy_has_the_cost() {
        let passwords = Passwords::new(5).unwrap();
        assert_eq!(passwords.decoy.parse::<bcrypt::HashParts>().unwrap().get_cost(), 5);
        assert!(!bcrypt::verify("nobody's password", &passwords.decoy).unwrap());
        for cost in [3, 32] {
            assert!(Passwords::new(cost).is_err());
        }
    }

    #[tokio::test]
    async fn reads_72_bytes_to_the_last_and_refuses_73() {
        let passwords = Passwords::new(4).unwrap();
        let (longest, other) = (format!("{}a", "x".repeat(71)), format!("{}b", "x".repeat(71)));
        let hash = passwords.hash(&longest).await.unwrap();
        assert!(passwords.verify(&longest, Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&other, Some(&hash)).await.unwrap());
        let over = format!("{longest}c");
        assert_eq!(passwords.hash(&over).await.unwrap_err().code().name, "invalid");
        assert!(!passwords.verify(&over, Some(&hash)).await.unwrap());
    }

    /// A wrong password takes the same work for an old hash of a lower cost as for an unknown name.
    #[tokio::test]
    async fn a_lower_cost_is_made_up_for() {
        let passwords = Passwords::new(6).unwrap();
        let old = Passwords::new(4).unwrap().hash("Correct1").await.unwrap();
        assert!(passwords.verify("Correct1", Some(&old)).await.unwrap());
        assert!(!passwords.verify("Correct2", Some(&old)).await.unwrap());
        let work = |hash: &str| -> u32 {
            let own = cost_of(hash).unwrap();
            2_u32.pow(own) + missing_rounds(hash, 6).map(|cost| 2_u32.pow(cost)).sum::<u32>()
        };
        assert_eq!((work(&old), work(&passwords.decoy)), (64, 64));
        assert!(passwords.is_outdated(&old));
        assert!(!passwords.is_outdated(&passwords.hash("Correct1").await.unwrap()));
        assert!(!Passwords::new(4).unwrap().is_outdated(&passwords.decoy), "a lower cost changes no hash");
        assert!(!passwords.is_outdated("not a hash"));
    }
}
