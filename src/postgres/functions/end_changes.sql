-- Closes the change of each run: counts its steps down, completes or fails it, takes the next seq.
-- ended_runs: the run of each step that completed or was skipped. The caller holds the runs' locks.
create function pgflow.end_changes(
  touched_runs uuid[], ended_runs uuid[], failed_runs uuid[], failed_errors jsonb[], moment timestamptz
) returns void
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
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
      select t, true, null, 0 from unnest(ended_runs) t
      union all
      select f.run_id, false, f.error, f.ordinality
      from unnest(failed_runs, failed_errors) with ordinality f(run_id, error, ordinality)
    ) b
    group by b.run_id
  ) e
  cross join lateral (select t.ctid as tid from pgflow.runs t where t.run_id = e.run_id offset 0) x
  where r.ctid = x.tid;
end $$;
