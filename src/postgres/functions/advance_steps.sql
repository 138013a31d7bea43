-- Steps that ended (completed or skipped) release their dependents. A dependent that becomes ready
-- gets its tasks; or it ends at once, as an empty map or by its condition, and releases its own: until
-- nothing moves. The caller holds the runs' locks; rows are stamped with the runs' next seq.
--
-- opened: steps to be judged, besides. In a run of failed_runs dependents are only counted down. Returns the run of each
-- step that ended in here, the runs that failed (those given, too) with their errors, and what queue_tasks does.
create function pgflow.advance_steps(
  done pgflow.done_step[], opened pgflow.open_step[],
  claimant int, claimant_handlers int[], slots int, moment timestamptz,
  inout failed_runs uuid[], inout failed_errors jsonb[], out ended_runs uuid[],
  out ready_at timestamptz, out claimed pgflow.ready_step[]
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _ready pgflow.ready_step[]; _judged record; _queued record;
begin
  ended_runs := '{}';
  loop
    if done <> '{}' then
      with released as (
        select d.run_id, c.step_index, count(*)::int as parents, bool_or(d.cascades) as is_cascaded,
          min(r.seq) + 1 as seq, min(r.flow_slug) as flow_slug, min(r.version) as version
        from unnest(done) d
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
          select e.parents, e.is_cascaded, e.seq, k.tid, s.*, s.is_plain and not e.is_cascaded as plain,
            k.is_open and (e.is_cascaded or k.remaining_deps = e.parents) and e.run_id <> all (failed_runs) as due
          from released e
          cross join lateral (
            select t.ctid as tid, t.remaining_deps, t.status = 'created' and t.initial_tasks is null as is_open
            from pgflow.step_states t
            where t.run_id = e.run_id and t.step_index = e.step_index
              -- One that a cascade skipped in an earlier change stays as it was then.
              and (t.status = 'created' or t.seq = e.seq) offset 0
          ) k
          cross join lateral (
            select s.depends_on, s.fed_map, s.dependents, s.handler_id, h.timeout,
              moment + pg_catalog.make_interval(secs => h.start_delay) as due_at,
              s.kind = 'single' and s.if_pattern is null and s.if_not_pattern is null as is_plain
            from pgflow.steps s cross join lateral (
              select h.timeout, h.start_delay from pgflow.handlers h where h.handler_id = s.handler_id offset 0
            ) h
            where s.flow_slug = e.flow_slug and s.version = e.version and s.step_index = e.step_index offset 0
          ) s
        ) x
        where t.ctid = x.tid
        returning t.run_id, t.step_index, t.step_slug, x.*
      )
      select
        array_agg(row(c.run_id, c.step_index, c.step_slug, false, null, c.depends_on, c.fed_map, c.dependents = '{}', 1,
          c.handler_id, c.timeout, c.due_at)::pgflow.ready_step) filter (where c.plain),
        opened || array_agg(row(c.run_id, c.step_index, c.is_cascaded, null)::pgflow.open_step) filter (where not c.plain)
      into _ready, opened
      from counted c where c.due;
      done := null;
    end if;

    if opened is not null then
      _judged := pgflow.judge_steps(opened, moment);
      opened := null;
      done := _judged.done;
      ended_runs := ended_runs || array(select d.run_id from unnest(done) d);
      failed_runs := failed_runs || _judged.failed_runs;
      failed_errors := failed_errors || _judged.failed_errors;
      _ready := _judged.ready || _ready;
    end if;

    if _ready is not null then
      _queued := pgflow.queue_tasks(_ready, claimant, claimant_handlers, moment, slots);
      _ready := null;
      slots := _queued.slots;
      ready_at := least(ready_at, _queued.ready_at);
      claimed := claimed || _queued.claimed;
    end if;
    exit when done is null or done = '{}';
  end loop;
end $$;
