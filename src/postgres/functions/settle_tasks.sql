-- Tells what began and what ended of tasks, for many at once: the batch's tasks that are still
-- held by the claim given change, all others are left alone.
--
-- outcomes: started (only tells the begin) | completed | failed. retry_delays, for failed: seconds
-- until the next attempt, null for the backoff, -1 for never.
-- Returns the changes of the runs (rows `run` and `step`), a row `task` for each task that was
-- accepted, and a row `ready` when tasks are queued, with the time when the first is due.
create function pgflow.settle_tasks(
  run_ids uuid[], step_indexes int[], task_indexes int[], claims int[],
  outcomes text[], outputs jsonb[], errors text[], retry_delays float8[], notify boolean default true
) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  _tasks pgflow.change_row[];
  _touched_runs uuid[]; _seqs int[]; _sinces int[];
  _done_runs uuid[]; _done_steps int[]; _done_cascades boolean[];
  _map_runs uuid[]; _map_steps int[]; _skipped_runs uuid[]; _skipped_steps int[];
  _failed_runs uuid[]; _failed_errors jsonb[];
  _ready_at timestamptz; _ready pgflow.change_row;
begin
  -- Runs first, by id: whoever changes a run waits here, and each statement below sees what they did.
  perform 1 from (select distinct b from unnest(run_ids) b order by b) b(run_id)
  cross join lateral (select 1 from pgflow.runs r where r.run_id = b.run_id for no key update) r;

  -- Tasks. The fence stands in the lookup and again in the update: give-backs lock tasks only.
  with hit as materialized (
    select b.outcome, b.output, t.tid, t.run_id, t.step_index, t.step_slug, t.task_index, t.claim, t.attempt,
      t.started_at, h.retry_at,
      case
        when b.outcome = 'failed' then coalesce(b.error, '')
        when b.outcome = 'completed' and s.fed_map is not null and pg_catalog.jsonb_typeof(b.output) <> 'array' then
          pg_catalog.format('Step `%s` must return an array, because map `%s` runs over it; it returned %s.', t.step_slug,
            s.fed_map, case pg_catalog.jsonb_typeof(b.output) when 'null' then 'null' when 'object' then 'an object'
              else 'a ' || pg_catalog.jsonb_typeof(b.output) end)
      end as error
    from unnest(run_ids, step_indexes, task_indexes, claims, outcomes, outputs, errors, retry_delays)
      b(run_id, step_index, task_index, claim, outcome, output, error, retry_delay)
    cross join lateral (
      select t.ctid as tid, t.* from pgflow.step_tasks t
      where t.run_id = b.run_id and t.step_index = b.step_index and t.task_index = b.task_index
        and t.status = 'started' and t.claim = b.claim offset 0
    ) t
    cross join lateral (
      select r.flow_slug, r.version from pgflow.runs r where r.run_id = b.run_id offset 0
    ) r
    cross join lateral (
      select case when s.kind = 'single' then s.fed_map end as fed_map from pgflow.steps s
      where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = b.step_index offset 0
    ) s
    left join lateral (
      select _now + pg_catalog.make_interval(secs =>
        coalesce(b.retry_delay, least(h.base_delay * 2.0 ^ least(t.attempt, 64), 3600))) as retry_at
      from pgflow.handlers h
      where b.outcome = 'failed' and h.handler_id = t.handler_id and t.attempt < h.max_attempts
        and coalesce(b.retry_delay, 0) >= 0 offset 0
    ) h on true
  ), ended as (
    update pgflow.step_tasks t set
      status = case when x.error is null then 'completed' when x.retry_at is null then 'failed' else 'queued' end,
      output = case when x.error is null then x.output end,
      error_message = x.error,
      available_at = x.retry_at,
      worker_id = case when x.retry_at is null then t.worker_id end,
      ended_at = case when x.retry_at is null then _now end
    from hit x
    where x.outcome <> 'started' and t.ctid = x.tid and t.status = 'started' and t.claim = x.claim
    returning x.run_id, x.step_index, x.step_slug, x.task_index, x.claim, x.attempt, x.started_at, x.error, x.retry_at,
      t.status, x.outcome
  ), accepted as (
    select * from ended
    union all
    select x.run_id, x.step_index, x.step_slug, x.task_index, x.claim, x.attempt, x.started_at, null, null,
      'started', x.outcome
    from hit x where x.outcome = 'started'
  )
  select array_agg(row('task', a.run_id, null, null, a.status, null,
      null, null, a.started_at, case when a.status <> 'started' then _now end, null, null,
      case when a.outcome = 'completed' and a.error is not null then 'violation' end, null, null, null, null,
      a.step_index, a.step_slug, null, null, a.attempt, a.error, null, null, null,
      a.task_index, a.claim, a.retry_at)::pgflow.change_row),
    min(a.retry_at)
  into _tasks, _ready_at
  from accepted a;

  if _tasks is null then return; end if;

  -- Steps. One row version for each step that moved, whatever number of its tasks did.
  with moved as (
    select t.run_id, t.step_index,
      count(*) filter (where t.status = 'completed')::int as completed,
      min(t.task_index) filter (where t.status = 'failed') as failed_index,
      (array_agg(t.error_message order by t.status = 'failed', t.task_index desc)
        filter (where t.error_message is not null))[1] as error_message,
      (array_agg(t.error_message order by t.task_index) filter (where t.status = 'failed'))[1] as failed_message,
      bool_or(t.reason is not null) as violated, max(t.attempt) as attempt, min(t.started_at) as started_at
    from unnest(_tasks) t group by t.run_id, t.step_index
  ), judged as materialized (
    select m.*, x.tid, x.step_slug, x.kind, x.when_exhausted, r.seq,
      case when m.failed_index is not null and (m.violated or x.when_exhausted = 'fail') then 'failed'
        when m.failed_index is not null then 'skipped'
        when x.remaining_tasks = m.completed then 'completed' else 'started' end as status
    from moved m
    cross join lateral (
      select r.seq, r.flow_slug, r.version from pgflow.runs r where r.run_id = m.run_id offset 0
    ) r
    cross join lateral (
      select t.ctid as tid, t.step_slug, t.status, t.attempt, t.remaining_tasks, s.kind, s.when_exhausted
      from pgflow.step_states t, pgflow.steps s
      where t.run_id = m.run_id and t.step_index = m.step_index
        and s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = m.step_index offset 0
    ) x
    -- A begin of a further task of a step alters nothing that a snapshot shows.
    where m.completed > 0 or m.error_message is not null or x.status = 'created' or m.attempt > x.attempt
  ), updated as (
    update pgflow.step_states t set
      status = j.status,
      remaining_tasks = t.remaining_tasks - j.completed,
      attempt = greatest(t.attempt, j.attempt),
      started_at = coalesce(t.started_at, j.started_at),
      completed_at = case when j.status = 'completed' then _now end,
      failed_at = case when j.status = 'failed' then _now end,
      skipped_at = case when j.status = 'skipped' then _now end,
      skip_reason = case when j.status = 'skipped' then 'handler_failed' end,
      error_message = case when j.status = 'completed' then null when j.status in ('failed', 'skipped') then j.failed_message
        else coalesce(j.error_message, t.error_message) end,
      output = case when j.status = 'completed' and j.kind = 'single' then
        (select k.output from pgflow.step_tasks k
         where k.run_id = j.run_id and k.step_index = j.step_index and k.task_index = 0) end,
      seq = j.seq + 1
    from judged j where t.ctid = j.tid
  )
  select array_agg(distinct j.run_id),
    coalesce(array_agg(j.run_id) filter (where j.status in ('completed', 'skipped')), '{}'),
    coalesce(array_agg(j.step_index) filter (where j.status in ('completed', 'skipped')), '{}'),
    coalesce(array_agg(j.status = 'skipped' and j.when_exhausted = 'skip-cascade')
      filter (where j.status in ('completed', 'skipped')), '{}'),
    array_agg(j.run_id) filter (where j.status = 'completed' and j.kind = 'map'),
    array_agg(j.step_index) filter (where j.status = 'completed' and j.kind = 'map'),
    array_agg(j.run_id) filter (where j.status = 'skipped' and j.kind = 'map'),
    array_agg(j.step_index) filter (where j.status = 'skipped' and j.kind = 'map'),
    coalesce(array_agg(j.run_id order by j.step_index) filter (where j.status = 'failed'), '{}'),
    coalesce(array_agg(pg_catalog.jsonb_build_object('stepSlug', j.step_slug, 'taskIndex', j.failed_index,
      'message', j.failed_message) order by j.step_index) filter (where j.status = 'failed'), '{}')
  into _touched_runs, _done_runs, _done_steps, _done_cascades, _map_runs, _map_steps, _skipped_runs, _skipped_steps,
    _failed_runs, _failed_errors
  from judged j;

  if _map_runs is not null then
    update pgflow.step_states t set output = o.output
    from unnest(_map_runs, _map_steps) m(run_id, step_index)
    cross join lateral (
      select pg_catalog.jsonb_agg(k.output order by k.task_index) as output from pgflow.step_tasks k
      where k.run_id = m.run_id and k.step_index = m.step_index offset 0
    ) o
    where t.run_id = m.run_id and t.step_index = m.step_index;
  end if;

  if _skipped_runs is not null then
    update pgflow.step_tasks t set status = 'cancelled', available_at = null, ended_at = _now
    from unnest(_skipped_runs, _skipped_steps) k(run_id, step_index)
    where t.run_id = k.run_id and t.step_index = k.step_index and t.status in ('queued', 'started');
  end if;

  return query select t.* from unnest(_tasks) t;
  if _touched_runs is not null then
    _ready_at := least(_ready_at, pgflow.end_changes(_touched_runs, _done_runs, _done_steps, _done_cascades,
      _failed_runs, _failed_errors, _now));
    select array_agg(r.run_id), array_agg(r.seq), array_agg(r.seq - 1) into _touched_runs, _seqs, _sinces
    from unnest(_touched_runs) b(run_id)
    cross join lateral (select r.run_id, r.seq from pgflow.runs r where r.run_id = b.run_id offset 0) r;
    return query select c.* from pgflow.read_changes(_touched_runs, _sinces) c;
  end if;
  if _ready_at is not null then
    _ready.kind := 'ready';
    _ready.available_at := _ready_at;
    return next _ready;
  end if;
  if notify then
    perform pgflow.notify_changes(_touched_runs, _seqs, _ready_at is not null);
  end if;
end $$;
