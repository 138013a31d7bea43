-- Written for the schema `pgflow`; the installer puts in the schema's real name.

create table pgflow.flows (
  flow_slug       text collate "C" primary key,
  kind            text not null check (kind in ('flow', 'job')),
  current_version int  not null,
  created_at      timestamptz not null
);

-- One row for each shape that a flow has had: runs are pinned to one.
create table pgflow.flow_versions (
  flow_slug  text collate "C" not null references pgflow.flows on delete cascade,
  version    int  not null,
  shape      text not null,
  step_count int  not null,
  root_map   text,             -- a map over the run's input, which must then be an array
  conditional_root boolean not null,
  created_at timestamptz not null,
  primary key (flow_slug, version),
  unique (flow_slug, shape)
);

-- What a worker must know to execute a step: the same for all versions in which the step has this
-- signature. Attempts, delays and timeouts are those last registered.
create table pgflow.handlers (
  handler_id   int generated always as identity primary key,
  flow_slug    text collate "C" not null references pgflow.flows on delete cascade,
  step_slug    text collate "C" not null,
  signature    text not null,
  max_attempts int    not null,
  base_delay   float8 not null,
  timeout      float8 not null,
  start_delay  float8 not null,
  unique (flow_slug, step_slug, signature)
);

create table pgflow.steps (
  flow_slug  text collate "C" not null,
  version    int  not null,
  step_index int  not null,
  step_slug  text collate "C" not null,
  kind       text not null check (kind in ('single', 'map')),
  state_index int not null generated always as (case kind when 'single' then 0 else -1 end) stored,   -- of its state in run_steps
  depends_on int[] not null,   -- whose outputs the handler gets
  over       int,              -- whose output a map runs over; null: the run's input
  dependents int[] not null,   -- who waits for this step, by dependsOn or over
  dep_count  int  not null,
  fed_map    text,             -- a map that runs over this step, so its output must be an array
  handler_id int  not null references pgflow.handlers on delete cascade,
  -- Conditions: patterns that the value (a root's: the run's input; else { dep: output }) must contain, or must not.
  if_pattern     jsonb,
  if_not_pattern jsonb,
  when_unmet     text not null check (when_unmet in ('skip', 'skip-cascade', 'fail')),
  when_exhausted text not null check (when_exhausted in ('fail', 'skip', 'skip-cascade')),
  primary key (flow_slug, version, step_index),
  foreign key (flow_slug, version) references pgflow.flow_versions on delete cascade
);

-- No foreign keys from here on: they would cost a start 6 to 9 %. No check constraints either: PostgreSQL
-- parses them anew for each statement that writes the table. The functions keep the rules; the tests audit them.
create table pgflow.runs (
  run_id          uuid primary key,
  flow_slug       text collate "C" not null,
  version         int  not null,
  status          text not null,   -- started | completed | failed | cancelled
  input           jsonb not null,
  given_input     jsonb,       -- the input before its schema altered it; null when it did not
  output          jsonb,
  error           jsonb,
  remaining_steps int  not null,
  seq             int  not null,
  tracked_by      int,         -- whom its changes are told to: a tracker, which may have been lost; 0: several
  started_at      timestamptz not null,
  completed_at    timestamptz,
  failed_at       timestamptz,
  cancelled_at    timestamptz,
  cancel_reason   text,
  retry_of        uuid,
  root_run_id     uuid not null
) with (fillfactor = 50);

-- With the id as bytes: as it is, the planner took this index for lookups by id where the table was analysed while it was
-- nearly empty, and kept to it.
create index runs_newest on pgflow.runs (started_at, pg_catalog.uuid_send(run_id));

-- By tag, newest first, read off the key. With an array in `runs` and a GIN index the planner guesses how many runs
-- have a tag: it walks through all of them for one, or sorts all that have it for the newest 50.
create table pgflow.run_tags (
  tag        text collate "C" not null,
  started_at timestamptz not null,   -- the run's
  run_id     uuid not null,
  primary key (tag, started_at, run_id)
);

create index run_tags_run on pgflow.run_tags (run_id);

-- The steps of runs, a row for each with its state. The row of a single step is its task as well, number 0; a map's is number
-- -1, and each of its tasks, from 0 on, has a row of its own without a state. In this order a run's states stand together.
create table pgflow.run_steps (
  run_id          uuid not null,
  task_index      int  not null,
  step_index      int  not null,
  step_slug       text collate "C" not null,
  output          jsonb,       -- of both, as the error
  error_message   text,
  -- the state, as it was told
  status          text,        -- created | started | completed | failed | skipped | cancelled; null: a task of a map
  remaining_deps  int,
  initial_tasks   int,
  remaining_tasks int,
  told_attempt    int,         -- the highest of its tasks
  skip_reason     text,
  progress        jsonb,       -- { fraction, note }, as the handler said last
  seq             int,
  created_at      timestamptz,
  started_at      timestamptz,
  completed_at    timestamptz,
  failed_at       timestamptz,
  skipped_at      timestamptz,
  cancelled_at    timestamptz,
  -- the task
  task_status     text,        -- queued | started | completed | failed | cancelled; null: none yet, or the state of a map
  handler_id      int  not null,
  attempt         int  not null default 0,
  claim           int  not null default 0,   -- the fence: never falls
  worker_id       int,
  available_at    timestamptz,               -- set exactly while queued
  item            jsonb,                     -- of a map: its element; null for a single step's task, and only then
  fed_map         text,                      -- as in steps: a map that runs over the output
  is_leaf         boolean not null,          -- nothing waits for the step
  fraction        float8,                    -- of a map: how far it said it is; null once that is past
  task_started_at timestamptz,
  ended_at        timestamptz,
  primary key (run_id, task_index, step_index)
) with (fillfactor = 50);

-- The queue. Not on `task_status`: an index there would make every later update of the row a cold one.
create index run_steps_queue on pgflow.run_steps (handler_id, available_at) where available_at is not null;
-- For the rescue of a dead worker's tasks: which pages have some that began since it came. Unlike a tree it leaves
-- updates hot, from PostgreSQL 16 on.
create index run_steps_started on pgflow.run_steps using brin (task_started_at);

create view pgflow.step_states as
select s.run_id, s.step_index, s.step_slug, s.status, s.remaining_deps, s.initial_tasks, s.remaining_tasks,
  s.told_attempt as attempt, s.output, s.error_message, s.skip_reason, s.progress, s.seq, s.created_at, s.started_at,
  s.completed_at, s.failed_at, s.skipped_at, s.cancelled_at
from pgflow.run_steps s where s.task_index <= 0 and s.status is not null;

create view pgflow.step_tasks as
select t.run_id, t.step_index, t.task_index, t.step_slug, t.handler_id, t.task_status as status, t.attempt, t.claim,
  t.worker_id, t.available_at, t.item, t.fed_map, t.is_leaf, t.output, t.error_message, t.fraction,
  t.task_started_at as started_at, t.ended_at
from pgflow.run_steps t where t.task_status is not null;

-- What handlers logged. An entry is named by its execution and a number, so that one told twice is stored once.
create table pgflow.step_logs (
  run_id     uuid not null,
  step_index int  not null,
  task_index int  not null,
  claim      int  not null,
  log_number int  not null,
  log_id     bigint generated always as identity,   -- within a run in the order of the commits
  attempt    int  not null,
  at         timestamptz not null,
  message    text not null,
  fields     jsonb,
  primary key (run_id, step_index, task_index, claim, log_number)
);

create index step_logs_order on pgflow.step_logs (run_id, log_id);

create table pgflow.workers (
  worker_id  int generated always as identity primary key,
  name       text not null,
  started_at timestamptz not null,
  expires_at timestamptz not null,         -- its lease, renewed by heartbeat
  handler_ids int[] not null,              -- what it can execute
  concurrency int not null,
  protocol   int not null                  -- what it expects of the functions
);

-- What the engine's functions say to their caller, one row for a run, a step state or a task. See docs/architecture.md.
create type pgflow.change_row as (
  kind            text,        -- run | step | settled | failed | claim | ready | started | existing
  run_id          uuid,
  since           int,
  seq             int,
  status          text,
  remaining       int,         -- run: remaining_steps; step: remaining_deps
  output          jsonb,
  error           jsonb,
  started_at      timestamptz,
  completed_at    timestamptz,
  failed_at       timestamptz,
  cancelled_at    timestamptz,
  -- run
  reason          text,
  flow_slug       text,
  version         int,
  input           jsonb,       -- also of a claim
  retry_of        uuid,
  -- step
  step_index      int,
  step_slug       text,
  initial_tasks   int,
  remaining_tasks int,
  attempt         int,
  error_message   text,
  skip_reason     text,
  created_at      timestamptz,
  skipped_at      timestamptz,
  progress        jsonb,
  -- settled: which of the batch, counted from 1
  accepted        int[],
  -- claim; failed: which of the batch, as task_index, and when it is tried again, as available_at
  task_index      int,
  claim           int,
  available_at    timestamptz, -- when it was due
  handler_id      int,
  timeout         float8,
  root_run_id     uuid,
  item            jsonb,
  deps            jsonb,       -- null, as the input, for all but the first task of a run's step
  -- run
  tracked_by      int
);

-- What the engine's functions hand to each other. One array of these costs less than one for each column.

-- Of a settle: a task of a map that has begun or completed.
create type pgflow.told_task as (
  run_id uuid, step_index int, completed int, attempt int, started_at timestamptz, is_leaf boolean
);

-- A step that completed or was skipped, and whether that skips all that comes after.
create type pgflow.done_step as (run_id uuid, step_index int, cascades boolean);

-- A step that all it waits for has left: to be judged. When it may begin: null for now.
create type pgflow.open_step as (run_id uuid, step_index int, is_cascaded boolean, begin_at timestamptz);

-- A step that is to get its tasks.
create type pgflow.ready_step as (
  run_id uuid, step_index int, step_slug text, is_map boolean, over int, depends_on int[], tasks int, handler_id int,
  timeout float8, due_at timestamptz
);
