-- Tells what began and what ended of tasks, for many at once: the batch's tasks that are still
-- held by the claim given change, all others are left alone.
--
-- outcomes: started (only tells the begin) | completed | failed. retry_delays, for failed: seconds
-- until the next attempt, null for the backoff, -1 for never. claimant: the worker that asks, with the handlers
-- that it has and its free slots: what becomes ready may be its own at once.
-- untracked: whether changes of runs that nobody tracks are told, too; with `notify` all are. Of those that fail they are.
-- tracker: of the process that asks; watched: the runs of the batch that it tracks. Of runs that are marked for this tracker alone
-- the others lose the mark, and are not told.
-- Returns the changes of the runs (rows `run` and `step`), a row `settled` that says which tasks were accepted, a row
-- `failed` for each that was as failed, a row `claim` for each task claimed, and a row `ready` when tasks are
-- queued, with the time when the first is due.
create function pgflow.settle_tasks(
  run_ids uuid[], step_indexes int[], task_indexes int[], claims int[],
  outcomes text[], outputs jsonb[], errors text[], retry_delays float8[], notify boolean default true,
  claimant int default null, claimant_handlers int[] default null, slots int default 0, untracked boolean default true,
  tracker int default null, watched uuid[] default null
) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  _told pgflow.told_task[]; _accepted int[]; _begun record; _failed record;
  _all_completed boolean;
  -- Of the steps that moved: their runs, and whether they ended; those that are done.
  _moved_runs uuid[]; _moved_ended int[]; _done pgflow.done_step[]; _done_maps pgflow.done_step[];
  _failed_runs uuid[] := '{}'; _failed_errors jsonb[] := '{}';
  _changed record; _told_runs uuid[]; _sinces int[]; _ready_at timestamptz; _retry_at timestamptz;
  _row pgflow.change_row;
begin
  -- Runs first, by id: whoever changes a run waits here, and each statement below sees what they did.
  perform 1 from (select distinct b from unnest(run_ids) b order by b) b(run_id)
  cross join lateral (select 1 from pgflow.runs r where r.run_id = b.run_id for no key update) r;
  -- A worker that is taken for dead right now gets nothing: its rescuer may be waiting for these runs.
  if slots > 0 then
    perform 1 from pgflow.workers w where w.worker_id = claimant for key share skip locked;
    if not found then claimant := null; end if;
  end if;

  -- Tasks, and with its task a single step. By bounds of the key, not by `=`: whatever the planner knows of the tables, it can
  -- only go from the batch to the rows, one lookup each.
  with ended as (
    update pgflow.run_steps t set
      task_status = 'completed', output = b.output, error_message = null, ended_at = _now,
      status = case when t.item is null then 'completed' end,
      remaining_tasks = case when t.item is null then 0 end,
      told_attempt = case when t.item is null then greatest(t.told_attempt, t.attempt) end,
      started_at = case when t.item is null then coalesce(t.started_at, t.task_started_at) end,
      completed_at = case when t.item is null then _now end,
      seq = case when t.item is null then (select r.seq + 1 from pgflow.runs r where r.run_id = b.run_id) end
    from unnest(run_ids, step_indexes, task_indexes, claims, outcomes, outputs) with ordinality
      b(run_id, step_index, task_index, claim, outcome, output, ordinality)
    where b.outcome = 'completed'
      and (t.run_id, t.task_index, t.step_index) >= (b.run_id, b.task_index, b.step_index)
      and (t.run_id, t.task_index, t.step_index) <= (b.run_id, b.task_index, b.step_index)
      and t.task_status = 'started' and t.claim = b.claim
      and (t.fed_map is null or pg_catalog.jsonb_typeof(b.output) = 'array')
    returning b.ordinality, t.run_id, t.step_index, t.attempt, t.task_started_at, t.item is null as is_single, t.is_leaf
  )
  select array_agg(e.ordinality), array_agg(e.run_id) filter (where e.is_single), array_agg(1) filter (where e.is_single),
    array_agg(row(e.run_id, e.step_index, false)::pgflow.done_step) filter (where e.is_single and not e.is_leaf),
    array_agg(row(e.run_id, e.step_index, 1, e.attempt, e.task_started_at, e.is_leaf)::pgflow.told_task) filter (where not e.is_single)
  into _accepted, _moved_runs, _moved_ended, _done, _told
  from ended e;
  _all_completed := coalesce(pg_catalog.cardinality(_accepted), 0) = pg_catalog.cardinality(run_ids);

  if not _all_completed then
    with begun as materialized (
      select b.ordinality, t.ctid as tid, t.*, r.seq + 1 as next_seq
      from unnest(run_ids, step_indexes, task_indexes, claims, outcomes) with ordinality
        b(run_id, step_index, task_index, claim, outcome, ordinality)
      cross join lateral (
        select t.ctid, t.run_id, t.step_index, t.claim, t.attempt, t.task_started_at, t.item, t.is_leaf from pgflow.run_steps t
        where t.run_id = b.run_id and t.task_index = b.task_index and t.step_index = b.step_index
          and t.task_status = 'started' and t.claim = b.claim offset 0
      ) t
      cross join lateral (select r.seq from pgflow.runs r where r.run_id = b.run_id offset 0) r
      where b.outcome = 'started'
    ), shown as (
      update pgflow.run_steps t set
        status = 'started',
        told_attempt = greatest(t.told_attempt, t.attempt),
        started_at = coalesce(t.started_at, t.task_started_at),
        seq = b.next_seq
      from begun b
      where t.ctid = b.tid and b.item is null and t.task_status = 'started' and t.claim = b.claim
        and (t.status = 'created' or t.attempt > t.told_attempt)
      returning t.run_id
    )
    select array_agg(b.ordinality) as accepted,
      array_agg(row(b.run_id, b.step_index, 0, b.attempt, b.task_started_at, b.is_leaf)::pgflow.told_task)
        filter (where b.item is not null) as told,
      (select array_agg(s.run_id) from shown s) as shown_runs
    into _begun
    from begun b;
    _accepted := _accepted || _begun.accepted;
    _told := _told || _begun.told;
    _moved_runs := _moved_runs || _begun.shown_runs;
    _moved_ended := _moved_ended || pg_catalog.array_fill(0, array[coalesce(pg_catalog.cardinality(_begun.shown_runs), 0)]);
  end if;

  -- Maps. One row version for each, whatever number of its tasks ended.
  if _told is not null then
    with moved as (
      update pgflow.run_steps t set
        status = case when j.remaining = 0 then 'completed' else 'started' end,
        remaining_tasks = j.remaining,
        told_attempt = greatest(t.told_attempt, j.attempt),
        started_at = coalesce(t.started_at, j.started_at),
        completed_at = case when j.remaining = 0 then _now end,
        error_message = case when j.remaining > 0 then t.error_message end,
        seq = j.seq + 1
      from (
        select a.*, r.seq, x.tid, x.remaining
        from (
          select a.run_id, a.step_index, sum(a.completed)::int as completed, max(a.attempt) as attempt,
            min(a.started_at) as started_at, bool_or(a.is_leaf) as is_leaf
          from unnest(_told) a
          group by a.run_id, a.step_index
        ) a
        cross join lateral (select r.seq from pgflow.runs r where r.run_id = a.run_id offset 0) r
        cross join lateral (
          select t.ctid as tid, t.remaining_tasks - a.completed as remaining from pgflow.run_steps t
          where t.run_id = a.run_id and t.task_index = -1 and t.step_index = a.step_index
            -- A begin of a further task of a step alters nothing that a snapshot shows.
            and (a.completed > 0 or t.status = 'created' or a.attempt > t.told_attempt) offset 0
        ) x
      ) j
      where t.ctid = j.tid
      returning t.run_id, t.step_index, j.remaining = 0 as is_done, j.is_leaf
    )
    select _moved_runs || array_agg(m.run_id), _moved_ended || array_agg(m.is_done::int),
      _done || array_agg(row(m.run_id, m.step_index, false)::pgflow.done_step) filter (where m.is_done and not m.is_leaf),
      array_agg(row(m.run_id, m.step_index, false)::pgflow.done_step) filter (where m.is_done)
    into _moved_runs, _moved_ended, _done, _done_maps
    from moved m;
  end if;

  if _done_maps is not null then
    update pgflow.run_steps t set output = o.output
    from unnest(_done_maps) m
    cross join lateral (
      select pg_catalog.jsonb_agg(k.output order by k.task_index) as output from pgflow.run_steps k
      where k.run_id = m.run_id and k.task_index >= 0 and k.step_index = m.step_index offset 0
    ) o
    where t.run_id = m.run_id and t.task_index = -1 and t.step_index = m.step_index;
  end if;

  if not _all_completed then
    _failed := pgflow.fail_tasks(run_ids, step_indexes, task_indexes, claims, outcomes, outputs, errors,
      retry_delays, _now);
    _moved_runs := _moved_runs || _failed.moved_runs;
    _moved_ended := _moved_ended || _failed.moved_ended;
    _done := _done || _failed.done;
    _failed_runs := _failed.failed_runs;
    _failed_errors := _failed.failed_errors;
    _retry_at := _failed.retry_at;
    return query select t.* from unnest(_failed.tasks) t;
  end if;

  if _moved_runs is not null then
    _changed := pgflow.end_changes(_moved_runs, _moved_ended, _done, null, _failed_runs, _failed_errors,
      claimant, claimant_handlers, slots, _now, untracked or notify, tracker, watched);
    _told_runs := _changed.told_runs;
    _sinces := _changed.sinces;
    _ready_at := _changed.ready_at;
    if _told_runs is not null then
      return query select c.* from pgflow.changed_rows(_told_runs, _sinces) c;
    end if;
    if _changed.claimed is not null then
      return query select c.* from pgflow.read_claims(_changed.claimed, _now) c;
    end if;
  end if;
  if _accepted is not null then
    _row.kind := 'settled';
    _row.accepted := _accepted;
    _row.completed_at := _now;
    return next _row;
  end if;
  _ready_at := least(_ready_at, _retry_at);
  if _ready_at is not null then
    _row := null;
    _row.kind := 'ready';
    _row.available_at := _ready_at;
    return next _row;
  end if;
  if notify then
    perform pgflow.notify_changes(_told_runs, array(select s + 1 from unnest(_sinces) s), _ready_at is not null);
  end if;
end $$;
