-- Steps that ended (completed or skipped) release their dependents. A dependent that becomes ready gets its tasks, which
-- are the claimant's own as far as its slots go: first plain steps here, then what queue_tasks serves. Or it ends at once, as
-- an empty map or by its condition, and releases its own: until nothing moves. The caller holds the runs' locks; rows are
-- stamped with the runs' next seq.
--
-- opened: steps to be judged, besides. In a run of failed_runs dependents are only counted down. Returns the run of each
-- step that ended in here, the runs that failed (those given, too) with their errors, when the first of the tasks left in
-- the queue is due, and the steps whose tasks were claimed, also of runs that failed later in here.
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
        update pgflow.run_steps t set
          remaining_deps = t.remaining_deps - x.parents,
          initial_tasks = case when x.is_ready then 1 else t.initial_tasks end,
          remaining_tasks = case when x.is_ready then 1 else t.remaining_tasks end,
          seq = x.seq,
          task_status = case when x.is_mine then 'started' when x.is_ready then 'queued' else t.task_status end,
          attempt = t.attempt + x.is_mine::int,
          claim = t.claim + x.is_mine::int,
          worker_id = case when x.is_mine then claimant else t.worker_id end,
          task_started_at = case when x.is_mine then moment else t.task_started_at end,
          available_at = case when x.is_ready and not x.is_mine then x.due_at else t.available_at end
        from (
          select x.*, x.is_due and sum(x.is_due::int) over (rows unbounded preceding) <= slots as is_mine
          from (
            select e.parents, e.is_cascaded, e.seq, k.tid, k.is_open, k.handler_id, s.depends_on, s.timeout, s.due_at,
              k.is_open and s.is_plain and not e.is_cascaded as is_ready,
              k.is_open and s.is_plain and not e.is_cascaded and s.due_at <= moment
                and claimant is not null and k.handler_id = any (claimant_handlers) as is_due
            from released e
            cross join lateral (
              select s.depends_on, h.timeout, moment + pg_catalog.make_interval(secs => h.start_delay) as due_at,
                s.kind = 'single' and s.if_pattern is null and s.if_not_pattern is null as is_plain, s.state_index
              from pgflow.steps s cross join lateral (
                select h.timeout, h.start_delay from pgflow.handlers h where h.handler_id = s.handler_id offset 0
              ) h
              where s.flow_slug = e.flow_slug and s.version = e.version and s.step_index = e.step_index offset 0
            ) s
            cross join lateral (
              select t.ctid as tid, t.handler_id,
                t.status = 'created' and t.initial_tasks is null and (e.is_cascaded or t.remaining_deps = e.parents)
                  and e.run_id <> all (failed_runs) as is_open
              from pgflow.run_steps t
              where t.run_id = e.run_id and t.task_index = s.state_index and t.step_index = e.step_index
                -- One that a cascade skipped in an earlier change stays as it was then.
                and (t.status = 'created' or t.seq = e.seq) offset 0
            ) k
            offset 0
          ) x
        ) x
        where t.ctid = x.tid
        returning t.run_id, t.step_index, x.*
      )
      select
        claimed || array_agg(row(c.run_id, c.step_index, null, false, null, c.depends_on, 1, c.handler_id, c.timeout,
          c.due_at)::pgflow.ready_step) filter (where c.is_mine),
        slots - (count(*) filter (where c.is_mine))::int,
        least(ready_at, min(c.due_at) filter (where c.is_ready and not c.is_mine)),
        opened || array_agg(row(c.run_id, c.step_index, c.is_cascaded, null)::pgflow.open_step)
          filter (where c.is_open and not c.is_ready)
      into claimed, slots, ready_at, opened
      from counted c;
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
