-- Starts runs, many at once; the ids in a batch differ. A run id that exists already is left as it
-- is if flow and input (as given) are equal, else PF002. An unknown flow: PF001; a map over an input
-- that is no array: PF003. delays: seconds until the root steps may begin; run_ats: the time, instead.
-- tags: of each run, as the text of an array.
-- claimant: the worker that asks, with the handlers that it has and its free slots: root tasks may be its own at once.
-- tracker: of the same process, when all of them should be: it is told what becomes of the runs, and may track them unread.
--
-- Returns a row `started` with the time of the start; the whole run as a change since 0, unless it is of the version that
-- the caller knows and nothing of it has ended or failed; a row `existing` for each run that was there; a
-- row `claim` for each task claimed; rows `ready` when tasks are queued, with the time when the first is due.
create function pgflow.start_flows(
  run_ids uuid[], flow_slugs text[], inputs jsonb[], given_inputs jsonb[] default null,
  delays float8[] default null, run_ats timestamptz[] default null, notify boolean default true,
  known_versions int[] default null, claimant int default null, claimant_handlers int[] default null, slots int default 0,
  tags text[] default null, tracker int default null
) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  _new_runs uuid[]; _existing uuid[]; _is_plain boolean; _row pgflow.change_row;
begin
  if slots > 0 then
    perform 1 from pgflow.workers w where w.worker_id = claimant for key share skip locked;
    if not found then claimant := null; tracker := null; end if;
  end if;

  -- A run whose first steps may end at once begins with seq 0: the end of its change makes it 1. Plain are runs whose first
  -- steps have one task each and no condition, and of whose shape the caller knows.
  with wanted as materialized (
    select b.*, f.current_version, v.step_count, v.root_map is null and not v.conditional_root as is_plain,
      case when v.conditional_root or (v.root_map is not null and b.input = '[]') then 0 else 1 end as seq
    from unnest(run_ids, flow_slugs, inputs, given_inputs, known_versions) b(run_id, flow_slug, input, given_input, known)
    cross join lateral (
      select f.current_version from pgflow.flows f where f.flow_slug = b.flow_slug offset 0
    ) f
    cross join lateral (
      select v.step_count, v.root_map, v.conditional_root from pgflow.flow_versions v
      where v.flow_slug = b.flow_slug and v.version = f.current_version
        and (v.root_map is null or pg_catalog.jsonb_typeof(b.input) = 'array') offset 0
    ) v
  ), new as (
    insert into pgflow.runs
      (run_id, flow_slug, version, status, input, given_input, remaining_steps, seq, tracked_by, started_at, root_run_id)
    select w.run_id, w.flow_slug, w.current_version, 'started', w.input, w.given_input, w.step_count, w.seq, tracker, _now, w.run_id
    from wanted w
    order by w.run_id   -- two that start the same runs wait for each other in one order
    on conflict (run_id) do nothing
    returning run_id
  )
  select (select coalesce(array_agg(n.run_id), '{}') from new n), bool_and(w.is_plain and w.current_version = w.known)
  into _new_runs, _is_plain
  from wanted w;
  if pg_catalog.cardinality(_new_runs) < pg_catalog.cardinality(run_ids) then
    _existing := pgflow.check_starts(run_ids, flow_slugs, inputs, given_inputs, _new_runs);
  end if;
  if tags is not null then
    insert into pgflow.run_tags (tag, started_at, run_id)
    select distinct t.tag, _now, b.run_id
    from unnest(run_ids, tags) b(run_id, tags) cross join lateral unnest(b.tags::text[]) t(tag)
    where b.run_id = any (_new_runs);
  end if;
  -- Of the new ones alone.
  if _existing is not null then
    select array_agg(b.run_id), array_agg(b.delay), array_agg(b.run_at), array_agg(b.known)
    into run_ids, delays, run_ats, known_versions
    from unnest(run_ids, delays, run_ats, known_versions) b(run_id, delay, run_at, known)
    where b.run_id = any (_new_runs);
  end if;

  -- The steps. The first ones that have one task each are the caller's own as far as its slots go, or queued.
  return query
  with placed as materialized (
    select r.run_id, r.seq, case when s.dep_count = 0 then r.input end as input, s.*, b.delay, b.run_at,
      s.dep_count = 0 and r.seq = 1 and s.kind = 'single' as has_task
    from unnest(run_ids, delays, run_ats) b(run_id, delay, run_at)
    cross join lateral (
      select r.run_id, r.flow_slug, r.version, r.seq, r.input from pgflow.runs r where r.run_id = b.run_id offset 0
    ) r
    cross join lateral (
      select s.step_index, s.step_slug, s.dep_count, s.kind, s.state_index, s.fed_map, s.dependents = '{}' as is_leaf, s.handler_id
      from pgflow.steps s where s.flow_slug = r.flow_slug and s.version = r.version offset 0
    ) s
  ), waiting as (
    insert into pgflow.run_steps (run_id, task_index, step_index, step_slug, status, remaining_deps, initial_tasks,
      remaining_tasks, told_attempt, seq, created_at, handler_id, fed_map, is_leaf)
    select p.run_id, p.state_index, p.step_index, p.step_slug, 'created', p.dep_count, t.tasks,
      t.tasks, 0, 1, _now, p.handler_id, p.fed_map, p.is_leaf
    from placed p
    cross join lateral (
      select case when p.dep_count = 0 and p.seq = 1 then pg_catalog.jsonb_array_length(p.input) end as tasks
    ) t
    where not p.has_task
  ), ready as materialized (
    select p.*, p.is_due and sum(p.is_due::int) over (rows unbounded preceding) <= slots as is_mine
    from (
      select p.*, p.due_at <= _now and claimant is not null and p.handler_id = any (claimant_handlers) as is_due
      from (
        select p.*, h.timeout, greatest(p.run_at, _now + pg_catalog.make_interval(secs => coalesce(p.delay, 0)))
          + pg_catalog.make_interval(secs => h.start_delay) as due_at
        from placed p
        cross join lateral (
          select h.timeout, h.start_delay from pgflow.handlers h where h.handler_id = p.handler_id offset 0
        ) h
        where p.has_task offset 0
      ) p offset 0
    ) p
  ), begun as (
    insert into pgflow.run_steps (run_id, task_index, step_index, step_slug, status, remaining_deps, initial_tasks,
      remaining_tasks, told_attempt, seq, created_at, handler_id, fed_map, is_leaf,
      task_status, attempt, claim, worker_id, task_started_at, available_at)
    select r.run_id, 0, r.step_index, r.step_slug, 'created', 0, 1, 1, 0, 1, _now, r.handler_id, r.fed_map, r.is_leaf,
      case when r.is_mine then 'started' else 'queued' end, r.is_mine::int, r.is_mine::int,
      case when r.is_mine then claimant end, case when r.is_mine then _now end, case when not r.is_mine then r.due_at end
    from ready r
  )
  select 'claim', r.run_id, null::int, null::int, null, null::int, null::jsonb, null::jsonb,
    _now, null::timestamptz, null::timestamptz, null::timestamptz,
    null, null, null::int, r.input, null::uuid,
    r.step_index, null, null::int, null::int, 1, null, null,
    null::timestamptz, null::timestamptz, null::jsonb, null::int[], 0, 1, _now,
    r.handler_id, r.timeout, r.run_id, null::jsonb, '{}'::jsonb, null::int
  from ready r where r.is_mine
  union all
  select 'ready', null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
    null, null, null, null, null, null, null, null, null, null, null, null, null, min(r.due_at), null, null, null, null, null, null
  from ready r where not r.is_mine having min(r.due_at) is not null;

  if _is_plain is not true then
    return query select o.* from pgflow.place_roots(run_ids, delays, run_ats, known_versions,
      claimant, claimant_handlers, slots, _now) o;
  end if;

  _row.kind := 'started';
  _row.started_at := _now;
  return next _row;
  if _existing is not null then
    return query select c.* from pgflow.changed_rows(_existing, pg_catalog.array_fill(0, array[pg_catalog.cardinality(_existing)])) c;
    for _row.run_id in select unnest(_existing) loop
      _row.kind := 'existing';
      return next _row;
    end loop;
  end if;
  if notify then
    perform pgflow.notify_changes(_new_runs, pg_catalog.array_fill(1, array[pg_catalog.cardinality(_new_runs)]), true);
  end if;
end $$;
