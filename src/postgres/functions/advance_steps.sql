-- Steps that ended (completed or skipped) release their dependents. A dependent that becomes ready
-- gets its tasks; or it ends at once, as an empty map or by its condition, and releases its own: until
-- nothing moves. The caller holds the runs' locks; rows are stamped with the runs' next seq.
--
-- done_*: what ended; done_cascades: whether that skips all that comes after. ready_*: steps that are ready already,
-- and when they may begin. In a run of failed_runs dependents are only counted down. Returns the run of each
-- step that ended in here, the runs that failed (those given, too) with their errors, and what queue_tasks does.
create function pgflow.advance_steps(
  done_runs uuid[], done_steps int[], done_cascades boolean[],
  ready_runs uuid[], ready_steps int[], begin_ats timestamptz[],
  claimant int, claimant_handlers int[], slots int, moment timestamptz,
  inout failed_runs uuid[], inout failed_errors jsonb[], out ended_runs uuid[],
  out ready_at timestamptz, out claimed_runs uuid[], out claimed_steps int[]
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _plain_runs uuid[]; _plain_steps int[];
  _judged_runs uuid[]; _judged_steps int[]; _cascades boolean[];
  _judged record; _queued record;
begin
  ended_runs := '{}';
  loop
    if done_runs <> '{}' then
      with released as (
        select d.run_id, c.step_index, count(*)::int as parents, bool_or(d.cascade) as cascade,
          min(r.seq) + 1 as seq, min(r.flow_slug) as flow_slug, min(r.version) as version
        from unnest(done_runs, done_steps, done_cascades) d(run_id, step_index, cascade)
        cross join lateral (
          select r.seq, r.flow_slug, r.version from pgflow.runs r where r.run_id = d.run_id offset 0
        ) r
        cross join lateral (
          select s.dependents from pgflow.steps s
          where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = d.step_index offset 0
        ) s
        cross join lateral unnest(s.dependents) c(step_index)
        group by d.run_id, c.step_index
      ), counted as (
        update pgflow.step_states t set
          remaining_deps = t.remaining_deps - x.parents,
          initial_tasks = case when x.due and x.plain then 1 else t.initial_tasks end,
          remaining_tasks = case when x.due and x.plain then 1 else t.remaining_tasks end,
          seq = x.seq
        from (
          select e.parents, e.cascade, e.seq, k.tid, s.plain and not e.cascade as plain,
            k.is_open and (e.cascade or k.remaining_deps = e.parents) and e.run_id <> all (failed_runs) as due
          from released e
          cross join lateral (
            select t.ctid as tid, t.remaining_deps, t.status = 'created' and t.initial_tasks is null as is_open
            from pgflow.step_states t
            where t.run_id = e.run_id and t.step_index = e.step_index
              -- One that a cascade skipped in an earlier change stays as it was then.
              and (t.status = 'created' or t.seq = e.seq) offset 0
          ) k
          cross join lateral (
            select s.kind = 'single' and s.if_pattern is null and s.if_not_pattern is null as plain from pgflow.steps s
            where s.flow_slug = e.flow_slug and s.version = e.version and s.step_index = e.step_index offset 0
          ) s
        ) x
        where t.ctid = x.tid
        returning t.run_id, t.step_index, x.due, x.plain, x.cascade
      )
      select array_agg(c.run_id) filter (where c.plain), array_agg(c.step_index) filter (where c.plain),
        array_agg(c.run_id) filter (where not c.plain), array_agg(c.step_index) filter (where not c.plain),
        array_agg(c.cascade) filter (where not c.plain)
      into _plain_runs, _plain_steps, _judged_runs, _judged_steps, _cascades
      from counted c where c.due;
      done_runs := '{}';
    end if;

    if _judged_runs is not null or ready_runs is not null then
      -- Those given first: their cascades are null, as are the others' times.
      select * into _judged from pgflow.judge_steps(ready_runs || _judged_runs, ready_steps || _judged_steps,
        pg_catalog.array_fill(null::boolean, array[coalesce(pg_catalog.cardinality(ready_runs), 0)]) || _cascades,
        begin_ats, moment);
      done_runs := _judged.done_runs;
      done_steps := _judged.done_steps;
      done_cascades := _judged.done_cascades;
      ended_runs := ended_runs || done_runs;
      failed_runs := failed_runs || _judged.failed_runs;
      failed_errors := failed_errors || _judged.failed_errors;
      _plain_runs := _judged.ready_runs || _plain_runs;
      _plain_steps := _judged.ready_steps || _plain_steps;
      begin_ats := _judged.begin_ats;
      ready_runs := null;
      ready_steps := null;
      _judged_runs := null;
    end if;

    if _plain_runs <> '{}' then
      select * into _queued from pgflow.queue_tasks(_plain_runs, _plain_steps, begin_ats, claimant, claimant_handlers, moment, slots);
      slots := _queued.slots;
      ready_at := least(ready_at, _queued.ready_at);
      claimed_runs := claimed_runs || _queued.claimed_runs;
      claimed_steps := claimed_steps || _queued.claimed_steps;
      _plain_runs := null;
      _plain_steps := null;
      begin_ats := null;
    end if;
    exit when done_runs is null or done_runs = '{}';
  end loop;
end $$;
