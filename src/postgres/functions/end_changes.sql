-- Closes the change of each run: lets what ended release what comes after, cancels what is under way in
-- runs that fail, counts down, completes or fails the run, takes the next seq. The caller holds the runs' locks.
--
-- touched_runs: the runs that the change is for. done_*: the steps that completed or were skipped.
-- failed_*: the runs that a step made fail. Returns when the first of the new tasks is due.
create function pgflow.end_changes(
  touched_runs uuid[], done_runs uuid[], done_steps int[], done_cascades boolean[],
  failed_runs uuid[], failed_errors jsonb[], moment timestamptz
) returns timestamptz
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _ended_runs uuid[]; _ready_at timestamptz;
begin
  if done_runs <> '{}' then
    select a.failed_runs, a.failed_errors, a.ended_runs, a.ready_at
    into failed_runs, failed_errors, _ended_runs, _ready_at
    from pgflow.advance_steps(done_runs, done_steps, done_cascades, moment, failed_runs, failed_errors) a;
  end if;
  if failed_runs <> '{}' then
    perform pgflow.cancel_steps(failed_runs, moment);
  end if;

  with counted as (
    select b.run_id, count(*) filter (where b.ended)::int as ended,
      (array_agg(b.error order by b.ordinality) filter (where b.error is not null))[1] as error
    from (
      select t as run_id, false as ended, null::jsonb as error, 0 as ordinality from unnest(touched_runs) t
      union all
      select t, true, null, 0 from unnest(done_runs || _ended_runs) t
      union all
      select f.run_id, false, f.error, f.ordinality
      from unnest(failed_runs, failed_errors) with ordinality f(run_id, error, ordinality)
    ) b
    group by b.run_id
  ), judged as (
    select r.*, c.ended, c.error, case when c.error is not null then 'failed'
      when r.remaining_steps = c.ended then 'completed' else 'started' end as status
    from counted c
    cross join lateral (
      select r.ctid as tid, r.run_id, r.flow_slug, r.version, r.remaining_steps from pgflow.runs r
      where r.run_id = c.run_id offset 0
    ) r
  )
  update pgflow.runs t set
    seq = t.seq + 1,
    remaining_steps = t.remaining_steps - j.ended,
    status = j.status,
    output = case when f.kind = 'job' then o.outputs -> 0 else coalesce(o.by_slug, case when j.status = 'completed' then '{}'::jsonb end) end,
    error = j.error,
    completed_at = case when j.status = 'completed' then moment end,
    failed_at = case when j.status = 'failed' then moment end
  from judged j
  cross join lateral (select f.kind from pgflow.flows f where f.flow_slug = j.flow_slug offset 0) f
  -- The output of a completed run: { leaf: output } of its completed leaf steps; of a job, its handler's.
  left join lateral (
    select pg_catalog.jsonb_object_agg(s.step_slug, s.output) as by_slug, pg_catalog.jsonb_agg(s.output) as outputs
    from pgflow.step_states s
    cross join lateral (
      select 1 from pgflow.steps d
      where d.flow_slug = j.flow_slug and d.version = j.version and d.step_index = s.step_index
        and d.dependents = '{}' offset 0
    ) leaf
    where j.status = 'completed' and s.run_id = j.run_id and s.status = 'completed'
  ) o on true
  where t.ctid = j.tid;
  return _ready_at;
end $$;
