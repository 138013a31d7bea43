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

  update pgflow.runs r set
    seq = r.seq + 1,
    remaining_steps = r.remaining_steps - e.ended,
    status = case when e.error is not null then 'failed'
      when r.remaining_steps = e.ended then 'completed' else r.status end,
    output = case when e.error is null and r.remaining_steps = e.ended then pgflow.run_output(r.run_id) end,
    error = e.error,
    completed_at = case when e.error is null and r.remaining_steps = e.ended then moment end,
    failed_at = case when e.error is not null then moment end
  from (
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
  ) e
  cross join lateral (select t.ctid as tid from pgflow.runs t where t.run_id = e.run_id offset 0) x
  where r.ctid = x.tid;
  return _ready_at;
end $$;
