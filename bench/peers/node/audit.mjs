// The audit in SQLite, written in batches, as the gateway writes its own.
import Database from "libsql";

const FLUSH_MS = 500;
const MAX_QUEUED = 10_000;
const COLUMNS = [
  "at", "request_id", "subject", "roles", "document", "operation", "kind", "status", "outcome", "code", "cost",
  "milliseconds",
];

export function openAudit(file) {
  const database = new Database(file);
  database.exec("PRAGMA journal_mode = WAL");
  database.exec("PRAGMA synchronous = NORMAL");
  database.exec(`CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, ${COLUMNS.join(", ")})`);
  database.exec("CREATE INDEX IF NOT EXISTS entries_by_time ON entries (at)");
  database.exec("CREATE INDEX IF NOT EXISTS entries_by_subject ON entries (subject, at)");
  const insert = database.prepare(
    `INSERT INTO entries (${COLUMNS.join(", ")}) VALUES (${COLUMNS.map(() => "?").join(", ")})`);
  const insertAll = database.transaction((entries) => {
    for (const entry of entries) insert.run(COLUMNS.map((name) => entry[name] ?? null));
  });
  let queue = [];

  function flush() {
    if (queue.length === 0) return;
    const entries = queue;
    queue = [];
    insertAll(entries);
  }

  const timer = setInterval(flush, FLUSH_MS);
  return {
    // False where the queue is full.
    add: (entry) => queue.length < MAX_QUEUED && queue.push(entry) > 0,
    close() {
      clearInterval(timer);
      flush();
      database.close();
    },
  };
}
