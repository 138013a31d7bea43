-- Tells what began and what ended of tasks, for many at once: the batch's tasks that are still
-- held by the claim given change, all others are left alone.
--
-- outcomes: started (only tells the begin) | completed | failed. retry_delays, for failed: seconds
-- until the next attempt, null for the backoff, -1 for never. claimant: the worker that asks, with the handlers
-- that it has and its free slots: what becomes ready may be its own at once.
-- Returns the changes of the runs (rows `run` and `step`), a row `settled` that says which tasks were accepted, a row
-- `failed` for each that was as failed, a row `claim` for each task claimed, and a row `ready` when tasks are
-- queued, with the time when the first is due.
create function pgflow.settle_tasks(
  run_ids uuid[], step_indexes int[], task_indexes int[], claims int[],
  outcomes text[], outputs jsonb[], errors text[], retry_delays float8[], notify boolean default true,
  claimant int default null, claimant_handlers int[] default null, slots int default 0
) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  -- Of the tasks accepted as begun or completed:
  _accepted int[]; _runs uuid[]; _steps int[]; _completed int[]; _attempts int[]; _begins timestamptz[]; _outputs jsonb[];
  _all_completed boolean; _begun record; _failed record;
  -- Of the steps that moved, and of those that are done and have dependents:
  _moved_runs uuid[]; _moved_ended int[]; _done_runs uuid[]; _done_steps int[]; _done_cascades boolean[];
  _map_runs uuid[]; _map_steps int[];
  _failed_runs uuid[] := '{}'; _failed_errors jsonb[] := '{}';
  _ready_at timestamptz; _retry_at timestamptz; _claimed_runs uuid[]; _claimed_steps int[];
  _row pgflow.change_row; _seqs int[]; _sinces int[];
begin
  -- Runs first, by id: whoever changes a run waits here, and each statement below sees what they did.
  perform 1 from (select distinct b from unnest(run_ids) b order by b) b(run_id)
  cross join lateral (select 1 from pgflow.runs r where r.run_id = b.run_id for no key update) r;
  -- A worker that is taken for dead right now gets nothing: its rescuer may be waiting for these runs.
  if slots > 0 then
    perform 1 from pgflow.workers w where w.worker_id = claimant for key share skip locked;
    if not found then claimant := null; end if;
  end if;

  -- Tasks. The fence stands in the lookup and again in the update: give-backs lock tasks only.
  with ended as (
    update pgflow.step_tasks t set status = 'completed', output = x.output, error_message = null, ended_at = _now
    from (
      select b.ordinality, b.output, b.claim, k.tid
      from unnest(run_ids, step_indexes, task_indexes, claims, outcomes, outputs) with ordinality
        b(run_id, step_index, task_index, claim, outcome, output, ordinality)
      cross join lateral (
        select t.ctid as tid from pgflow.step_tasks t
        where t.run_id = b.run_id and t.step_index = b.step_index and t.task_index = b.task_index
          and t.status = 'started' and t.claim = b.claim
          and (t.fed_map is null or pg_catalog.jsonb_typeof(b.output) = 'array') offset 0
      ) k
      where b.outcome = 'completed'
    ) x
    where t.ctid = x.tid and t.status = 'started' and t.claim = x.claim
    returning x.ordinality, t.run_id, t.step_index, t.attempt, t.started_at, case when t.item is null then x.output end as output
  )
  select array_agg(e.ordinality), array_agg(e.run_id), array_agg(e.step_index), array_agg(1), array_agg(e.attempt),
    array_agg(e.started_at), array_agg(e.output)
  into _accepted, _runs, _steps, _completed, _attempts, _begins, _outputs
  from ended e;
  _all_completed := coalesce(pg_catalog.cardinality(_accepted), 0) = pg_catalog.cardinality(run_ids);

  if not _all_completed then
    select array_agg(b.ordinality) as accepted, array_agg(t.run_id) as runs, array_agg(t.step_index) as steps,
      array_agg(0) as completed, array_agg(t.attempt) as attempts, array_agg(t.started_at) as begins,
      array_agg(null::jsonb) as outputs into _begun
    from unnest(run_ids, step_indexes, task_indexes, claims, outcomes) with ordinality
      b(run_id, step_index, task_index, claim, outcome, ordinality)
    cross join lateral (
      select * from pgflow.step_tasks t
      where t.run_id = b.run_id and t.step_index = b.step_index and t.task_index = b.task_index
        and t.status = 'started' and t.claim = b.claim offset 0
    ) t
    where b.outcome = 'started';
    _accepted := _accepted || _begun.accepted;
    _runs := _runs || _begun.runs;
    _steps := _steps || _begun.steps;
    _completed := _completed || _begun.completed;
    _attempts := _attempts || _begun.attempts;
    _begins := _begins || _begun.begins;
    _outputs := _outputs || _begun.outputs;
  end if;

  -- Steps. One row version for each step, whatever number of its tasks ended.
  if _accepted is not null then
    with moved as (
      update pgflow.step_states t set
        status = case when j.remaining = 0 then 'completed' else 'started' end,
        remaining_tasks = j.remaining,
        attempt = greatest(t.attempt, j.attempt),
        started_at = coalesce(t.started_at, j.started_at),
        completed_at = case when j.remaining = 0 then _now end,
        error_message = case when j.remaining > 0 then t.error_message end,
        output = j.output,
        seq = j.seq + 1
      from (
        select a.attempt, a.started_at, a.output, r.seq, x.tid, x.remaining, s.kind, s.has_dependents
        from (
          select a.run_id, a.step_index, sum(a.completed)::int as completed, max(a.attempt) as attempt,
            min(a.started_at) as started_at, (array_agg(a.output))[1] as output   -- of a single step's one task
          from unnest(_runs, _steps, _completed, _attempts, _begins, _outputs)
            a(run_id, step_index, completed, attempt, started_at, output)
          group by a.run_id, a.step_index
        ) a
        cross join lateral (
          select r.seq, r.flow_slug, r.version from pgflow.runs r where r.run_id = a.run_id offset 0
        ) r
        cross join lateral (
          select t.ctid as tid, t.remaining_tasks - a.completed as remaining from pgflow.step_states t
          where t.run_id = a.run_id and t.step_index = a.step_index
            -- A begin of a further task of a step alters nothing that a snapshot shows.
            and (a.completed > 0 or t.status = 'created' or a.attempt > t.attempt) offset 0
        ) x
        cross join lateral (
          select s.kind, s.dependents <> '{}' as has_dependents from pgflow.steps s
          where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = a.step_index offset 0
        ) s
      ) j
      where t.ctid = j.tid
      returning t.run_id, t.step_index, j.remaining = 0 as is_done, j.kind = 'map' as is_map, j.has_dependents
    )
    select array_agg(m.run_id), array_agg(m.is_done::int),
      array_agg(m.run_id) filter (where m.is_done and m.has_dependents),
      array_agg(m.step_index) filter (where m.is_done and m.has_dependents),
      array_agg(false) filter (where m.is_done and m.has_dependents),
      array_agg(m.run_id) filter (where m.is_done and m.is_map), array_agg(m.step_index) filter (where m.is_done and m.is_map)
    into _moved_runs, _moved_ended, _done_runs, _done_steps, _done_cascades, _map_runs, _map_steps
    from moved m;
  end if;

  if _map_runs is not null then
    update pgflow.step_states t set output = o.output
    from unnest(_map_runs, _map_steps) m(run_id, step_index)
    cross join lateral (
      select pg_catalog.jsonb_agg(k.output order by k.task_index) as output from pgflow.step_tasks k
      where k.run_id = m.run_id and k.step_index = m.step_index offset 0
    ) o
    where t.run_id = m.run_id and t.step_index = m.step_index;
  end if;

  if not _all_completed then
    select * into _failed from pgflow.fail_tasks(run_ids, step_indexes, task_indexes, claims, outcomes, outputs, errors,
      retry_delays, _now);
    _moved_runs := _moved_runs || _failed.moved_runs;
    _moved_ended := _moved_ended || _failed.moved_ended;
    _done_runs := _done_runs || _failed.done_runs;
    _done_steps := _done_steps || _failed.done_steps;
    _done_cascades := _done_cascades || _failed.done_cascades;
    _failed_runs := _failed.failed_runs;
    _failed_errors := _failed.failed_errors;
    _retry_at := _failed.retry_at;
    return query select t.* from unnest(_failed.tasks) t;
  end if;

  if _moved_runs is not null then
    select e.ready_at, e.claimed_runs, e.claimed_steps into _ready_at, _claimed_runs, _claimed_steps
    from pgflow.end_changes(_moved_runs, _moved_ended, _done_runs, _done_steps, _done_cascades, null, null, null,
      _failed_runs, _failed_errors, claimant, claimant_handlers, slots, _now) e;
    select array_agg(r.run_id), array_agg(r.seq), array_agg(r.seq - 1) into _moved_runs, _seqs, _sinces
    from (select distinct m as run_id from unnest(_moved_runs) m) b
    cross join lateral (select r.run_id, r.seq from pgflow.runs r where r.run_id = b.run_id offset 0) r;
    return query select c.* from pgflow.read_changes(_moved_runs, _sinces) c;
    if _claimed_runs is not null then
      return query select c.* from pgflow.read_claims(_claimed_runs, _claimed_steps) c;
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
    perform pgflow.notify_changes(_moved_runs, _seqs, _ready_at is not null);
  end if;
end $$;
