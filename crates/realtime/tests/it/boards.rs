//! A service for the tests: boards with members, whose posts are events alone.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use groundwork_auth::{
    Caller, Scopes,
    session::{SESSION_ENDED, SUBJECT as SESSION},
};
use groundwork_core::{
    Db, DbOptions, Error, Reader, Result, Timestamp, Tx, Uuid,
    error::codes,
    events::{
        self, Model as Event, NewEvent, Subject,
        feed::{
            Audience, BoxFuture, Feed, Follow, Leaves, Merge, Personal, PersonalData, Route, Shown, Span,
        },
    },
};
use groundwork_realtime::{Commands, Options, Realtime, Running, bus::Bus, command::LocalFuture};
use groundwork_testkit::{Client, TestDb, TestServer, client::send, socket::Socket};
use groundwork_web::{
    Routes, WebApp, WebAppOptions,
    http::{bearer::Authenticator, extract::BodyLimit},
    openapi::About,
    service::health::{Live, Probe},
};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait::async_trait,
};
use serde_json::{Map, Value as Json, json};

/// The schema of the tests.
#[derive(Debug)]
pub struct Migrator;

struct Tables;

impl MigrationName for Tables {
    fn name(&self) -> &'static str {
        "tables"
    }
}

#[async_trait]
impl MigrationTrait for Tables {
    async fn up(&self, manager: &SchemaManager) -> std::result::Result<(), sea_orm::DbErr> {
        let conn = manager.get_connection();
        events::create_v1(conn).await?;
        let uuid = if conn.get_database_backend() == sea_orm::DbBackend::Sqlite { "blob" } else { "uuid" };
        for table in [
            format!(
                "CREATE TABLE boards (id {uuid} PRIMARY KEY, version bigint NOT NULL, place bigint NOT NULL)"
            ),
            format!(
                "CREATE TABLE members (board_id {uuid}, user_id {uuid}, from_version bigint NOT NULL, \
                 after_place bigint NOT NULL, PRIMARY KEY (board_id, user_id))"
            ),
            format!("CREATE TABLE ended (session_id {uuid} PRIMARY KEY)"),
        ] {
            conn.execute_unprepared(&table).await?;
        }
        Ok(())
    }
}

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(Tables)]
    }
}

/// A database of the tests.
pub type Test = TestDb<Migrator>;

/// Returns the id of a user, a board or a session.
pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// The sessions of users have the user's number and this one.
const SESSIONS: u128 = 1_000_000;

/// Changes to the boards, in transactions.
#[derive(Clone, Debug)]
pub struct Boards(pub Db);

impl Boards {
    async fn run(tx: &Tx, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<Option<(i64, i64)>> {
        let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
        let row = tx.query_one_raw(statement).await?;
        Ok(match row {
            Some(row) => Some((row.try_get("", "version")?, row.try_get("", "place")?)),
            None => None,
        })
    }

    /// Takes the next version of a board, which locks it.
    pub async fn next(tx: &Tx, board: u128, places: i64) -> Result<(i64, i64)> {
        let sql = "UPDATE boards SET version = version + 1, place = place + $2 WHERE id = $1 RETURNING version, place";
        Self::run(tx, sql, [id(board).into(), places.into()]).await?.ok_or_else(|| Error::not_found("board"))
    }

    pub fn event(kind: &'static str, board: u128) -> NewEvent {
        NewEvent::new(kind, Subject::new("board", id(board)))
    }

    pub async fn create(&self, board: u128, members: &[u128]) {
        let sql = "INSERT INTO boards (id, version, place) VALUES ($1, 0, 0) RETURNING version, place";
        self.0.write(async |tx| Self::run(tx, sql, [id(board).into()]).await).await.unwrap();
        for member in members {
            self.join(board, *member).await;
        }
        self.settled().await;
    }

    /// Waits until all that was committed can be read. Other tests use the same server, and its log waits for their
    /// transactions.
    pub async fn settled(&self) {
        let reader = self.0.reader();
        until("the log is settled", async || {
            !events::read(reader, events::Position::default(), 0).await.unwrap().is_blocked
        })
        .await;
    }

    /// Adds a member in a transaction.
    pub async fn join_in(tx: &Tx, board: u128, user: u128) -> Result<()> {
        let (version, place) = Self::next(tx, board, 0).await?;
        let sql = "INSERT INTO members (board_id, user_id, from_version, after_place) VALUES ($1, $2, $3, $4) \
                   RETURNING from_version AS version, after_place AS place";
        let values = [id(board).into(), id(user).into(), version.into(), place.into()];
        Self::run(tx, sql, values).await?;
        let event = Self::event("board.joined", board).of_user(id(user)).at_version(version);
        events::append(tx, event.with(json!({"place": place}))).await
    }

    /// Removes a member in a transaction.
    pub async fn leave_in(tx: &Tx, board: u128, user: u128) -> Result<()> {
        let (version, _) = Self::next(tx, board, 0).await?;
        let sql = "DELETE FROM members WHERE board_id = $1 AND user_id = $2 \
                   RETURNING from_version AS version, after_place AS place";
        Self::run(tx, sql, [id(board).into(), id(user).into()]).await?;
        events::append(tx, Self::event("board.left", board).of_user(id(user)).at_version(version)).await
    }

    /// Posts in a transaction.
    pub async fn post_in(tx: &Tx, board: u128, kind: &'static str) -> Result<i64> {
        let (version, place) = Self::next(tx, board, 1).await?;
        events::append(tx, Self::event(kind, board).at_version(version).with(json!({"place": place})))
            .await?;
        Ok(version)
    }

    pub async fn join(&self, board: u128, user: u128) {
        self.0.write(async |tx| Self::join_in(tx, board, user).await).await.unwrap();
    }

    pub async fn leave(&self, board: u128, user: u128) {
        self.0.write(async |tx| Self::leave_in(tx, board, user).await).await.unwrap();
    }

    /// Posts, and returns the version.
    pub async fn post(&self, board: u128) -> i64 {
        self.0.write(async |tx| Self::post_in(tx, board, "board.posted").await).await.unwrap()
    }

    /// Posts something that the feed treats in another way.
    pub async fn post_as(&self, board: u128, kind: &'static str) -> i64 {
        self.0.write(async |tx| Self::post_in(tx, board, kind).await).await.unwrap()
    }

    /// Users see a board, each in an event of its own.
    pub async fn seen(&self, board: u128, users: impl Iterator<Item = u128>) {
        let users: Vec<_> = users.collect();
        for users in users.chunks(500) {
            let events = users.iter().map(|user| {
                Self::event("board.seen", board).of_user(id(*user)).with(json!({"user": id(*user)}))
            });
            self.0.write(async |tx| events::append_all(tx, events.clone()).await).await.unwrap();
        }
    }

    /// Ends the first session of a user.
    pub async fn end_session(&self, user: u128) {
        let session = id(SESSIONS + user);
        self.0
            .write(async |tx| {
                let sql = "INSERT INTO ended (session_id) VALUES ($1)";
                let backend = tx.get_database_backend();
                tx.execute_raw(Statement::from_sql_and_values(backend, sql, [session.into()])).await?;
                let event = NewEvent::new(SESSION_ENDED, Subject::new(SESSION, session)).of_user(id(user));
                events::append(tx, event).await
            })
            .await
            .unwrap();
    }
}

/// What the tests change about the service.
#[derive(Debug, Default)]
pub struct Knobs {
    /// How often the feed was asked what users see.
    pub shows: AtomicU64,
    /// `show` fails at `board.broken` while it is set.
    pub is_broken: AtomicBool,
    /// Reading what a user follows waits for a permit while it is set.
    pub gate: Gate,
    /// A token that was found valid waits here.
    pub admission: Gate,
}

/// Holds something up until it is opened.
#[derive(Debug, Default)]
pub struct Gate {
    is_closed: AtomicBool,
    waiting: AtomicU64,
    opened: tokio::sync::Notify,
}

impl Gate {
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    pub fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::SeqCst)
    }

    async fn pass(&self) {
        while self.is_closed.load(Ordering::SeqCst) {
            let opened = self.opened.notified();
            self.waiting.fetch_add(1, Ordering::SeqCst);
            opened.await;
        }
    }
}

#[derive(Debug)]
struct BoardFeed(Arc<Knobs>);

impl BoardFeed {
    fn shown(&self, event: &Event) -> Result<Option<Shown>> {
        let (personal, merge) = match event.kind.as_str() {
            "board.seen" => {
                let key = event.user_id.unwrap_or_default().to_string();
                (Personal::Concerned, Some(Merge { list: "seen", key }))
            }
            "board.counted" => (Personal::Audience, None),
            "board.hidden" => return Ok(None),
            "board.broken" if self.0.is_broken.load(Ordering::SeqCst) => {
                return Err(Error::internal("broken"));
            }
            "board.panics" if self.0.is_broken.load(Ordering::SeqCst) => panic!("a feed that panics"),
            _ => (Personal::Nobody, None),
        };
        let data = match &merge {
            Some(merge) => json!({merge.list: [event.payload]}),
            None => event.payload.clone(),
        };
        let Json::Object(data) = data else { return Ok(None) };
        let scope = if event.kind == "board.secret" { "secrets:read" } else { "boards:read" };
        Ok(Some(Shown { scope, data, personal, merge }))
    }
}

fn number(event: &Event, name: &str) -> Option<i64> {
    event.payload.get(name).and_then(Json::as_i64)
}

impl Feed for BoardFeed {
    fn subjects(&self) -> &'static [&'static str] {
        &["board"]
    }

    fn route(&self, event: &Event) -> Route {
        let followers = Route::to(Audience::Followers { place: None });
        match event.kind.as_str() {
            "board.joined" => {
                let follow = Follow {
                    subject: event.subject_id,
                    from_version: event.version.unwrap_or(0),
                    after_place: number(event, "place").unwrap_or(0),
                    shows_presence: true,
                };
                Route { joins: event.user_id.map(|user| (user, follow)).into_iter().collect(), ..followers }
            }
            "board.left" => Route { leaves: Leaves::Users(event.user_id.into_iter().collect()), ..followers },
            "board.closed" => Route { leaves: Leaves::Everybody, ..followers },
            "board.told" => Route::to(Audience::Concerned),
            "board.seen" => followers,
            "board.reloads" => Route { reloads: true, ..followers },
            _ => Route::to(Audience::Followers { place: number(event, "place") }),
        }
    }

    fn follows<'a>(&'a self, conn: &'a Reader, user: Uuid) -> BoxFuture<'a, Result<Vec<Follow>>> {
        Box::pin(async move {
            #[derive(FromQueryResult)]
            struct Row {
                board_id: Uuid,
                from_version: i64,
                after_place: i64,
            }
            let sql = "SELECT board_id, from_version, after_place FROM members WHERE user_id = $1";
            let statement = Statement::from_sql_and_values(conn.get_database_backend(), sql, [user.into()]);
            let rows = Row::find_by_statement(statement).all(conn).await?;
            // Held up after the read, so that what was read is older than what comes meanwhile.
            self.0.gate.pass().await;
            let follow = |row: Row| Follow {
                subject: row.board_id,
                from_version: row.from_version,
                after_place: row.after_place,
                shows_presence: true,
            };
            Ok(rows.into_iter().map(follow).collect())
        })
    }

    fn show<'a>(&'a self, _: &'a Reader, events: &'a [Event]) -> BoxFuture<'a, Result<Vec<Option<Shown>>>> {
        Box::pin(async move {
            self.0.shows.fetch_add(1, Ordering::SeqCst);
            events.iter().map(|event| self.shown(event)).collect()
        })
    }

    fn personal<'a>(
        &'a self,
        _: &'a Reader,
        events: &'a [Event],
        wanted: &'a [(usize, Uuid)],
    ) -> BoxFuture<'a, Result<PersonalData>> {
        Box::pin(async move {
            let own = |(index, user): &(usize, Uuid)| {
                let kind = events[*index].kind.clone();
                ((*index, *user), Map::from_iter([("own".to_owned(), json!(format!("{kind} {user}")))]))
            };
            Ok(wanted.iter().map(own).collect::<HashMap<_, _>>())
        })
    }

    fn catch_up<'a>(
        &'a self,
        conn: &'a Reader,
        user: Uuid,
        span: Span,
        limit: u64,
    ) -> BoxFuture<'a, Result<Vec<Event>>> {
        Box::pin(async move {
            let place = match conn.get_database_backend() {
                sea_orm::DbBackend::Sqlite => "json_extract(e.payload, '$.place')",
                _ => "(e.payload->>'place')::bigint",
            };
            let sql = format!(
                "SELECT e.* FROM events e \
                 LEFT JOIN members m ON m.board_id = e.subject_id AND m.user_id = $5 \
                 WHERE (e.stamp, e.position) > ($1, $2) AND (e.stamp, e.position) <= ($3, $4) \
                 AND e.subject_kind = 'board' AND (e.user_id = $5 AND e.kind IN ('board.left', 'board.told') OR ( \
                    m.user_id IS NOT NULL AND e.kind <> 'board.told' \
                    AND (e.version IS NULL OR e.version >= m.from_version) \
                    AND (e.kind IN ('board.joined', 'board.left', 'board.seen') OR {place} IS NULL OR {place} > m.after_place))) \
                 ORDER BY e.stamp, e.position LIMIT $6"
            );
            let (after, until) = (span.after, span.until);
            let values: [Value; 6] = [
                after.stamp.into(),
                after.number.into(),
                until.stamp.into(),
                until.number.into(),
                user.into(),
                i64::try_from(limit).unwrap().into(),
            ];
            let backend = conn.get_database_backend();
            let rows = conn.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
            Ok(rows
                .iter()
                .map(|row| Event::from_query_result(row, ""))
                .collect::<std::result::Result<_, _>>()?)
        })
    }

    fn greeting<'a>(&'a self, _: &'a Reader, _: Uuid) -> BoxFuture<'a, Result<Map<String, Json>>> {
        Box::pin(async { Ok(Map::from_iter([("total".to_owned(), json!(7))])) })
    }
}

/// `typing` shows that the user types; `wait` takes as long as the gate is closed.
#[derive(Debug)]
struct BoardCommands(Arc<Knobs>, Duration);

impl Commands for BoardCommands {
    fn types(&self) -> &'static [&'static str] {
        &["typing", "wait", "refuse"]
    }

    fn handle<'a>(
        &'a self,
        realtime: &'a Realtime,
        caller: &'a Caller,
        kind: &'a str,
        members: Map<String, Json>,
    ) -> LocalFuture<'a, Result<Json>> {
        Box::pin(async move {
            match kind {
                "typing" => {
                    let board = members["board_id"].as_str().unwrap_or_default().parse().unwrap_or_default();
                    realtime.hint("typing", ("board", board), caller.user_id, self.1);
                    Ok(json!({}))
                }
                "wait" => {
                    self.0.gate.pass().await;
                    Ok(json!({"waited": true}))
                }
                _ => Err(codes::FORBIDDEN.error("refused")),
            }
        })
    }
}

/// One server of the service.
pub struct Site {
    pub realtime: Realtime,
    pub server: TestServer,
    pub knobs: Arc<Knobs>,
    pub boards: Boards,
    pub db: Db,
    probe: Probe,
    start: Timestamp,
    _running: Running,
}

/// Options under which a test sees soon what it waits for. The log is read again rarely enough for a test to show that
/// something else did.
pub fn options() -> Options {
    Options {
        poll: Duration::from_millis(500),
        heartbeat: Duration::from_secs(20),
        presence_grace: Duration::from_millis(300),
        presence_repeat: Duration::from_millis(400),
        presence_tick: Duration::from_millis(50),
        ..Options::default()
    }
}

/// Another handle of the database, as another server has it.
pub async fn open_again(test: &Test) -> Db {
    let db = Db::open(&DbOptions::new(&test.url).unwrap()).await.unwrap();
    db.with_clock(Arc::new(test.clock.clone()))
}

impl Site {
    pub async fn start(test: &Test, options: Options) -> Self {
        Self::start_on(test.db.clone(), options, Bus::local()).await
    }

    pub async fn start_on(db: Db, options: Options, bus: Bus) -> Self {
        let knobs = Arc::new(Knobs::default());
        let start = db.now().whole_seconds();
        let authenticator = authenticator(db.clone(), Arc::clone(&knobs));
        let commands = Arc::new(BoardCommands(Arc::clone(&knobs), Duration::from_millis(400)));
        let feeds: Vec<Arc<dyn Feed>> = vec![Arc::new(BoardFeed(Arc::clone(&knobs)))];
        let realtime = Realtime::new(db.clone(), authenticator.clone(), bus, feeds, Some(commands), options);
        let mut routes = Routes::new();
        routes.prefix("/api/v1");
        Realtime::routes(&mut routes);
        let live = Arc::new(realtime.clone());
        let probe = Probe::new(db.clone(), "1.0.0").with_live(live);
        let about = About { title: "Boards".to_owned(), version: "1.0.0".to_owned(), ..About::default() };
        let body_limit = BodyLimit { bytes: 1000, timeout: Duration::from_secs(10) };
        let web_options = WebAppOptions { about, body_limit, cors_origins: Vec::new() };
        let app = WebApp::new(web_options, routes, authenticator, probe.clone()).unwrap();
        let data = actix_web::web::Data::new(realtime.clone());
        let server = TestServer::start(move || app.app().app_data(data.clone()));
        let site = Self {
            _running: realtime.start(),
            realtime,
            server,
            knobs,
            boards: Boards(db.clone()),
            db,
            probe,
            start,
        };
        // Live delivery begins with the first read of the log.
        let client = site.client(0);
        until("the first read of the log", async || {
            send(client.request(reqwest::Method::GET, "/api/v1/sync")).await.status == 200
        })
        .await;
        site
    }

    /// Stops the server as a signal does.
    pub async fn shut_down(&self) {
        self.probe.drain();
        Live::shut_down(&self.realtime).await;
    }

    /// A token of a user: of their first session, with the usual scope, for an hour.
    pub fn token(&self, user: u128) -> String {
        self.token_for(user, Duration::from_hours(1))
    }

    pub fn token_for(&self, user: u128, lifetime: Duration) -> String {
        let until = self.start.unix_seconds() + i64::try_from(lifetime.as_secs()).unwrap();
        format!("{user}:{}:boards:read:{until}", SESSIONS + user)
    }

    pub fn client(&self, user: u128) -> Client {
        self.server.client().with_token(&self.token(user))
    }

    /// Opens a WebSocket of a user, and waits until it is ready.
    pub async fn socket(&self, user: u128) -> Socket {
        let mut socket = self.client(user).socket("/api/v1/ws").await;
        socket.next("ready").await;
        socket
    }

    /// Opens a WebSocket of a user that resumes.
    pub async fn resume(&self, user: u128, cursor: &str) -> Socket {
        let mut socket = self.client(user).socket(&format!("/api/v1/ws?since={cursor}")).await;
        socket.next("ready").await;
        socket
    }
}

/// Reads tokens such as `1:1000001:boards:read:1234567890`: user, session, scope, expiry.
fn authenticator(db: Db, knobs: Arc<Knobs>) -> Authenticator {
    Authenticator::new(move |token: String| {
        let (db, knobs) = (db.clone(), Arc::clone(&knobs));
        async move {
            let wrong = || codes::INVALID_TOKEN.error("the access token is not valid");
            let parts: Vec<&str> = token.split(':').collect();
            let [user, session, resource, right, until] = parts.as_slice() else { return Err(wrong()) };
            let (Ok(user), Ok(session), Ok(until)) = (user.parse(), session.parse(), until.parse()) else {
                return Err(wrong());
            };
            let expires_at = Timestamp::from_unix_seconds(until);
            if db.now() >= expires_at {
                return Err(codes::TOKEN_EXPIRED.error("the access token has expired"));
            }
            let sql = "SELECT session_id FROM ended WHERE session_id = $1";
            let backend = db.reader().get_database_backend();
            let statement = Statement::from_sql_and_values(backend, sql, [id(session).into()]);
            if db.reader().query_one_raw(statement).await?.is_some() {
                return Err(codes::SESSION_ENDED.error("the session has ended"));
            }
            let scopes = Scopes::parse(&format!("{resource}:{right}"));
            knobs.admission.pass().await;
            Ok(Caller { user_id: id(user), session_id: id(session), scopes, expires_at })
        }
    })
}

/// Waits until something is true.
pub async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

/// The version of the next event.
pub async fn version(socket: &mut Socket) -> i64 {
    socket.event().await["version"].as_i64().unwrap()
}

/// The versions of the next events, as many as there are expected.
pub async fn versions(socket: &mut Socket, expected: impl IntoIterator<Item = i64>) {
    for expected in expected {
        assert_eq!(version(socket).await, expected);
    }
}

/// Nothing else waits for the client: the answer to a ping comes after everything before it.
pub async fn nothing_more(socket: &mut Socket) {
    socket.send(&json!({"type": "ping"})).await;
    loop {
        let frame = socket.frame().await;
        assert!(!frame["id"].is_string(), "an event too many: {frame:#}");
        if frame["type"] == "pong" {
            return;
        }
    }
}
