-- The part of a settle that fails tasks: those said to have failed, and those that completed with what their map cannot run
-- over. They go back to the queue or end their steps. The caller holds the runs' locks.
--
-- Takes what settle_tasks does. Returns the rows that it is to answer with, and of the steps what end_changes needs.
create function pgflow.fail_tasks(
  run_ids uuid[], step_indexes int[], task_indexes int[], claims int[],
  outcomes text[], outputs jsonb[], errors text[], retry_delays float8[], moment timestamptz,
  out tasks pgflow.change_row[], out retry_at timestamptz, out moved_runs uuid[], out moved_ended int[],
  out done pgflow.done_step[], out failed_runs uuid[], out failed_errors jsonb[]
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _skipped_runs uuid[]; _skipped_steps int[];
begin
  failed_runs := '{}';
  failed_errors := '{}';
  with hit as materialized (
    select b.ordinality, t.tid, t.run_id, t.step_index, t.task_index, t.claim, t.attempt, t.task_started_at as started_at, h.retry_at,
      b.outcome = 'completed' as violates,
      case when b.outcome = 'failed' then coalesce(b.error, '')
        else pg_catalog.format('Step `%s` must return an array, because map `%s` runs over it; it returned %s.', t.step_slug,
          t.fed_map, case pg_catalog.jsonb_typeof(b.output) when 'null' then 'null' when 'object' then 'an object'
            else 'a ' || pg_catalog.jsonb_typeof(b.output) end)
      end as error
    from unnest(run_ids, step_indexes, task_indexes, claims, outcomes, outputs, errors, retry_delays) with ordinality
      b(run_id, step_index, task_index, claim, outcome, output, error, retry_delay, ordinality)
    cross join lateral (
      select t.ctid as tid, t.* from pgflow.run_steps t
      where t.run_id = b.run_id and t.task_index = b.task_index and t.step_index = b.step_index
        and t.task_status = 'started' and t.claim = b.claim offset 0
    ) t
    left join lateral (
      select moment + pg_catalog.make_interval(secs =>
        coalesce(b.retry_delay, least(h.base_delay * 2.0 ^ least(t.attempt, 64), 3600))) as retry_at
      from pgflow.handlers h
      where b.outcome = 'failed' and h.handler_id = t.handler_id and t.attempt < h.max_attempts
        and coalesce(b.retry_delay, 0) >= 0 offset 0
    ) h on true
    where b.outcome = 'failed' or b.outcome = 'completed'   -- what completes has done so already
  ), ended as (
    update pgflow.run_steps t set
      task_status = case when x.retry_at is null then 'failed' else 'queued' end,
      output = null,
      fraction = null,
      error_message = x.error,
      available_at = x.retry_at,
      worker_id = case when x.retry_at is null then t.worker_id end,
      ended_at = case when x.retry_at is null then moment end
    from hit x
    where t.ctid = x.tid and t.task_status = 'started' and t.claim = x.claim
    returning x.*, t.task_status as status
  )
  select array_agg(row('failed', e.run_id, null, null, e.status, null, null, null, e.started_at, moment, null, null,
      case when e.violates then 'violation' end, null, null, null, null,
      e.step_index, null, null, null, e.attempt, e.error, null, null, null, null, null,
      e.ordinality, e.claim, e.retry_at, null, null, null, null, null, null)::pgflow.change_row), min(e.retry_at)
  into tasks, retry_at
  from ended e;
  if tasks is null then return; end if;

  with moved as (
    select t.run_id, t.step_index,
      min(task_indexes[t.task_index]) filter (where t.status = 'failed') as failed_index,
      (array_agg(t.error_message order by task_indexes[t.task_index]) filter (where t.status = 'failed'))[1] as failed_message,
      (array_agg(t.error_message order by task_indexes[t.task_index] desc) filter (where t.status = 'queued'))[1] as retry_message,
      bool_or(t.reason is not null) as violated, max(t.attempt) as attempt, min(t.started_at) as started_at
    from unnest(tasks) t group by t.run_id, t.step_index
  ), judged as materialized (
    select m.*, x.tid, x.step_slug, s.kind, s.when_exhausted, r.seq,
      case when m.failed_index is null then 'started'
        when m.violated or s.when_exhausted = 'fail' then 'failed' else 'skipped' end as status
    from moved m
    cross join lateral (
      select r.seq, r.flow_slug, r.version from pgflow.runs r where r.run_id = m.run_id offset 0
    ) r
    cross join lateral (
      select s.kind, s.state_index, s.when_exhausted from pgflow.steps s
      where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = m.step_index offset 0
    ) s
    cross join lateral (
      select t.ctid as tid, t.step_slug from pgflow.run_steps t
      where t.run_id = m.run_id and t.task_index = s.state_index and t.step_index = m.step_index offset 0
    ) x
  ), updated as (
    update pgflow.run_steps t set
      status = j.status,
      told_attempt = greatest(t.told_attempt, j.attempt),
      started_at = coalesce(t.started_at, j.started_at),
      failed_at = case when j.status = 'failed' then moment end,
      skipped_at = case when j.status = 'skipped' then moment end,
      skip_reason = case when j.status = 'skipped' then 'handler_failed' end,
      error_message = coalesce(j.failed_message, j.retry_message),
      progress = case when j.status <> 'started' or j.kind = 'map' then t.progress end,
      seq = j.seq + 1
    from judged j where t.ctid = j.tid
  )
  select array_agg(j.run_id), array_agg((j.status = 'skipped')::int),
    array_agg(row(j.run_id, j.step_index, j.when_exhausted = 'skip-cascade')::pgflow.done_step) filter (where j.status = 'skipped'),
    array_agg(j.run_id) filter (where j.status = 'skipped' and j.kind = 'map'),
    array_agg(j.step_index) filter (where j.status = 'skipped' and j.kind = 'map'),
    coalesce(array_agg(j.run_id order by j.step_index) filter (where j.status = 'failed'), '{}'),
    coalesce(array_agg(pg_catalog.jsonb_build_object('stepSlug', j.step_slug, 'taskIndex', j.failed_index,
      'message', j.failed_message) order by j.step_index) filter (where j.status = 'failed'), '{}')
  into moved_runs, moved_ended, done, _skipped_runs, _skipped_steps, failed_runs, failed_errors
  from judged j;

  if _skipped_runs is not null then
    update pgflow.run_steps t set task_status = 'cancelled', available_at = null, ended_at = moment
    from unnest(_skipped_runs, _skipped_steps) k(run_id, step_index)
    where t.run_id = k.run_id and t.task_index >= 0 and t.step_index = k.step_index and t.task_status in ('queued', 'started');
  end if;
end $$;
