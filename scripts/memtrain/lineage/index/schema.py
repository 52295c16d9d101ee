"""The tables of the index.

A *version* of a file is the content that it had at one time, and is identified by its digest. Runs
that read rows compute no digest of the whole file. They count as readers of the version that was
written last, until its size or its time of modification shows that the file has changed. A *use*
stands for a run, or a part of one, that read or wrote a version. Its *spans* are the ranges of rows
that were used, and its *pieces* are the same rows, cut at the borders of shards.

Every span has a level: level n holds the spans of fewer than 2^n rows. A span of level n that
overlaps given rows begins less than 2^n rows before them, so an ordinary index finds it.
"""

VERSION = 5

TABLES = """
CREATE TABLE place (results TEXT);
CREATE TABLE record (name TEXT PRIMARY KEY, problem TEXT) WITHOUT ROWID;
CREATE TABLE run (
    id INTEGER PRIMARY KEY, run_id TEXT UNIQUE, job TEXT, split TEXT, parent_id TEXT,
    started_at TEXT, ended_at TEXT, state TEXT, message TEXT, record TEXT, facts TEXT
);
CREATE TABLE shared_fact (digest TEXT PRIMARY KEY, content TEXT) WITHOUT ROWID;
CREATE TABLE version (
    id INTEGER PRIMARY KEY, path TEXT, digest TEXT, size INTEGER, seen_ns INTEGER, role TEXT,
    UNIQUE (path, digest)
);
CREATE TABLE use (
    id INTEGER PRIMARY KEY, run INTEGER, version INTEGER, is_output INTEGER, role TEXT, part TEXT
);
CREATE TABLE span (use INTEGER, start INTEGER, end INTEGER, level INTEGER);
CREATE TABLE span_level (level INTEGER PRIMARY KEY);
CREATE TABLE piece (
    use INTEGER, shard INTEGER, start INTEGER, end INTEGER, digest TEXT, shard_digest TEXT
);
CREATE TABLE current (path TEXT PRIMARY KEY, version INTEGER, run INTEGER) WITHOUT ROWID;
CREATE TABLE rival (
    path TEXT, version INTEGER, run INTEGER, PRIMARY KEY (path, version)
) WITHOUT ROWID;
CREATE INDEX run_by_record ON run (record);
CREATE INDEX version_by_digest ON version (digest);
CREATE INDEX use_by_version ON use (version, is_output);
CREATE INDEX use_by_run ON use (run, is_output, part);
CREATE INDEX span_by_use ON span (use);
CREATE INDEX span_by_rows ON span (level, start, end, use);
CREATE INDEX piece_by_use ON piece (use);
CREATE INDEX piece_by_digest ON piece (digest);
CREATE INDEX piece_by_shard_digest ON piece (shard_digest);
"""

#: Fills ``current``: for every path, the version that a completed run wrote last.
FILL_CURRENT = """
INSERT INTO current
SELECT path, version, run FROM (
    SELECT version.path AS path, use.version AS version, use.run AS run,
        ROW_NUMBER() OVER (PARTITION BY version.path ORDER BY run.ended_at DESC, run.id DESC) AS age
    FROM use JOIN version ON version.id = use.version JOIN run ON run.id = use.run
    WHERE use.is_output AND run.state = 'completed'
) WHERE age = 1
"""

#: Fills ``rival``: for every path of which completed runs wrote several versions, each version, and
#: the run that wrote it last.
FILL_RIVAL = """
INSERT INTO rival
SELECT path, version, run FROM (
    SELECT path, version, run, count(*) OVER (PARTITION BY path) AS versions FROM (
        SELECT version.path AS path, use.version AS version, use.run AS run,
            ROW_NUMBER() OVER (
                PARTITION BY use.version ORDER BY run.ended_at DESC, run.id DESC
            ) AS age
        FROM use JOIN version ON version.id = use.version JOIN run ON run.id = use.run
        WHERE use.is_output AND run.state = 'completed'
    ) WHERE age = 1
) WHERE versions > 1
"""

#: Facts of a run that many runs have in common; each content is stored once.
SHARED_FACTS = ("code", "environment", "machine")
