-- Closes the change of each run: lets what ended release what comes after, cancels what is under way in
-- runs that fail, counts down, completes or fails the run, takes the next seq. The caller holds the runs' locks.
--
-- touched_runs: the runs that the change is for, each once or more; ended: with how many steps. done: the steps that
-- completed or were skipped; those without dependents may be left out. opened: steps to be judged. failed_*: the runs that
-- a step made fail. Returns the runs that are told of, each once, with the seqs before: those that somebody tracks, those
-- that fail, and with `untracked` all; when the first of the tasks left in the queue is due, and the steps whose tasks are
-- the claimant's own now. tracker, watched: as for settle_tasks.
create function pgflow.end_changes(
  touched_runs uuid[], ended int[], done pgflow.done_step[], opened pgflow.open_step[],
  failed_runs uuid[], failed_errors jsonb[], claimant int, claimant_handlers int[], slots int, moment timestamptz,
  untracked boolean, tracker int, watched uuid[],
  out told_runs uuid[], out sinces int[], out ready_at timestamptz, out claimed pgflow.ready_step[]
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _advanced record;
begin
  if done <> '{}' or opened <> '{}' then
    _advanced := pgflow.advance_steps(done, opened, claimant, claimant_handlers, slots, moment, failed_runs, failed_errors);
    failed_runs := _advanced.failed_runs;
    failed_errors := _advanced.failed_errors;
    touched_runs := touched_runs || _advanced.ended_runs;
    ended := ended || pg_catalog.array_fill(1, array[pg_catalog.cardinality(_advanced.ended_runs)]);
    ready_at := _advanced.ready_at;
    claimed := _advanced.claimed;
  end if;

  if failed_runs <> '{}' then
    perform pgflow.cancel_steps(failed_runs, moment);
    claimed := (select array_agg(c) from unnest(claimed) c where c.run_id <> all (failed_runs));
  end if;

  with changed as (
    update pgflow.runs t set
      seq = t.seq + 1,
      tracked_by = case when t.tracked_by = tracker and t.run_id <> all (watched) then null else t.tracked_by end,
      remaining_steps = t.remaining_steps - b.ended,
      status = case when t.remaining_steps = b.ended then 'completed' else 'started' end,
      completed_at = case when t.remaining_steps = b.ended then moment end,
      -- { leaf: output } of the completed leaf steps; of a job, its handler's.
      output = case when t.remaining_steps = b.ended then case
        when (select f.kind from pgflow.flows f where f.flow_slug = t.flow_slug) = 'job' then (
          select s.output from pgflow.run_steps s
          where s.run_id = t.run_id and s.task_index <= 0 and s.step_index = 0 and s.status = 'completed'
        )
        else (
          select coalesce(pg_catalog.jsonb_object_agg(s.step_slug, s.output), '{}') from pgflow.run_steps s
          where s.run_id = t.run_id and s.task_index <= 0 and s.is_leaf and s.status = 'completed'
        ) end end
    from (
      select b.run_id, sum(b.ended)::int as ended from unnest(touched_runs, ended) b(run_id, ended) group by b.run_id
    ) b
    where t.run_id >= b.run_id and t.run_id <= b.run_id   -- not `=`, as in settle_tasks
    returning t.run_id, t.seq, t.tracked_by
  )
  select array_agg(c.run_id), array_agg(c.seq - 1) into told_runs, sinces from changed c
  where untracked or c.tracked_by is not null or c.run_id = any (watched) or c.run_id = any (failed_runs);

  if failed_runs <> '{}' then
    update pgflow.runs t set status = 'failed', error = f.error, failed_at = moment
    from (
      select distinct on (f.run_id) f.run_id, f.error
      from unnest(failed_runs, failed_errors) with ordinality f(run_id, error, ordinality)
      order by f.run_id, f.ordinality
    ) f
    where t.run_id = f.run_id;
  end if;
end $$;
