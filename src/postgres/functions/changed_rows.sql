-- What is new since those seqs, for the functions of the engine: PostgreSQL puts the text of it into the statement that
-- calls it, as it has no settings of its own. Through `read_changes` its rows are stored once more, which made a settle of
-- jobs a quarter slower.
create function pgflow.changed_rows(run_ids uuid[], sinces int[]) returns setof pgflow.change_row
language sql stable
as $$
  select 'run', r.run_id, b.since, r.seq, r.status, r.remaining_steps, r.output, r.error,
    r.started_at, r.completed_at, r.failed_at, r.cancelled_at,
    r.cancel_reason, r.flow_slug, r.version,
    case when b.since = 0 then r.input end, case when b.since = 0 then r.retry_of end,
    null::int, null::text, null::int, null::int, null::int, null::text, null::text,
    null::timestamptz, null::timestamptz, null::jsonb, null::int[], null::int, null::int, null::timestamptz,
    null::int, null::float8, null::uuid, null::jsonb, null::jsonb, r.tracked_by
  from unnest(run_ids, sinces) b(run_id, since)
  cross join lateral (
    select * from pgflow.runs r where r.run_id = b.run_id and r.seq > b.since offset 0
  ) r
  union all
  select 'step', s.run_id, null, s.seq, s.status, s.remaining_deps, s.output, null,
    s.started_at, s.completed_at, s.failed_at, s.cancelled_at,
    null, null, null, null, null,
    s.step_index, s.step_slug, s.initial_tasks, s.remaining_tasks, s.told_attempt, s.error_message, s.skip_reason,
    s.created_at, s.skipped_at, s.progress, null, null, null, null, null, null, null, null, null, null
  from unnest(run_ids, sinces) b(run_id, since)
  cross join lateral (
    select * from pgflow.run_steps s where s.run_id = b.run_id and s.task_index <= 0 and s.seq > b.since offset 0
  ) s;
$$;
