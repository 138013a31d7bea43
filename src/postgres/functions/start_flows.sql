-- Starts runs, many at once; the ids in a batch differ. A run id that exists already is left as it
-- is if flow and input (as given) are equal, else PF002. An unknown flow: PF001; a map over an input
-- that is no array: PF003. delays: seconds until the root steps may begin; run_ats: the time, instead.
-- Returns the whole runs as changes since 0, a row `existing` for each run that was there, and a row
-- `ready` with the time when the first task is due.
create function pgflow.start_flows(
  run_ids uuid[], flow_slugs text[], inputs jsonb[], given_inputs jsonb[] default null,
  delays float8[] default null, run_ats timestamptz[] default null, notify boolean default true
) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  _all_runs uuid[] := run_ids;
  _trouble record;
  _existing uuid[] := '{}'; _empty_runs uuid[]; _empty_steps int[]; _ended_runs uuid[];
  _ready_at timestamptz; _later_at timestamptz; _row pgflow.change_row;
begin
  select b.run_id, b.flow_slug, f.flow_slug is null as unknown, v.root_map into _trouble
  from unnest(run_ids, flow_slugs, inputs) b(run_id, flow_slug, input)
  left join lateral (
    select f.flow_slug, f.current_version from pgflow.flows f where f.flow_slug = b.flow_slug offset 0
  ) f on true
  left join lateral (
    select v.root_map from pgflow.flow_versions v
    where v.flow_slug = b.flow_slug and v.version = f.current_version offset 0
  ) v on true
  where f.flow_slug is null or (v.root_map is not null and pg_catalog.jsonb_typeof(b.input) <> 'array')
  limit 1;
  if found then
    raise exception using errcode = case when _trouble.unknown then 'PF001' else 'PF003' end,
      message = pg_catalog.jsonb_build_object('runId', _trouble.run_id, 'flowSlug', _trouble.flow_slug, 'map', _trouble.root_map);
  end if;

  if exists (
    select from unnest(run_ids) b(run_id)
    cross join lateral (select 1 from pgflow.runs r where r.run_id = b.run_id offset 0) r
  ) then
    select b.run_id, b.flow_slug into _trouble
    from unnest(run_ids, flow_slugs, inputs, given_inputs) b(run_id, flow_slug, input, given_input)
    join pgflow.runs r on r.run_id = b.run_id
    where r.flow_slug <> b.flow_slug
      or coalesce(r.given_input, r.input) <> coalesce(b.given_input, b.input)
    limit 1;
    if found then
      raise exception using errcode = 'PF002',
        message = pg_catalog.jsonb_build_object('runId', _trouble.run_id, 'flowSlug', _trouble.flow_slug);
    end if;
    select array_agg(r.run_id) into _existing
    from unnest(run_ids) b(run_id) join pgflow.runs r on r.run_id = b.run_id;
    select coalesce(array_agg(b.run_id), '{}'), array_agg(b.flow_slug), array_agg(b.input), array_agg(b.given_input),
      array_agg(b.delay), array_agg(b.run_at)
    into run_ids, flow_slugs, inputs, given_inputs, delays, run_ats
    from unnest(run_ids, flow_slugs, inputs, given_inputs, delays, run_ats)
      b(run_id, flow_slug, input, given_input, delay, run_at)
    where b.run_id <> all (_existing);
  end if;

  -- The input is stored once, in the run; only a map's elements are copied, each to its task.
  with asked as (
    select b.*, v.version, v.step_count,
      case when pg_catalog.jsonb_array_length(case when v.root_map is not null then b.input end) = 0 then exists (
        select from pgflow.steps s
        where s.flow_slug = b.flow_slug and s.version = v.version and s.kind = 'map' and s.dep_count = 0
      ) end as empty
    from unnest(run_ids, flow_slugs, inputs, given_inputs)
      b(run_id, flow_slug, input, given_input)
    cross join lateral (select f.current_version from pgflow.flows f where f.flow_slug = b.flow_slug offset 0) f
    cross join lateral (
      select v.version, v.step_count, v.root_map from pgflow.flow_versions v
      where v.flow_slug = b.flow_slug and v.version = f.current_version offset 0
    ) v
  )
  insert into pgflow.runs (run_id, flow_slug, version, status, input, given_input, remaining_steps, seq, started_at, root_run_id)
  -- A run whose maps are empty is closed by end_changes below, which takes its first seq.
  select a.run_id, a.flow_slug, a.version, 'started', a.input, a.given_input, a.step_count,
    case when a.empty then 0 else 1 end, _now, a.run_id
  from asked a;

  with placed as materialized (
    select b.run_id, s.step_index, s.step_slug, s.kind, s.dep_count, s.handler_id, r.input,
      greatest(b.run_at, _now + pg_catalog.make_interval(secs => coalesce(b.delay, 0)))
        + pg_catalog.make_interval(secs => h.start_delay) as available_at,
      case when s.dep_count > 0 then null when s.kind = 'single' then 1
        else pg_catalog.jsonb_array_length(r.input) end as tasks
    from unnest(run_ids, delays, run_ats) b(run_id, delay, run_at)
    cross join lateral (
      select r.flow_slug, r.version, r.input from pgflow.runs r where r.run_id = b.run_id offset 0
    ) r
    cross join lateral (
      select s.* from pgflow.steps s where s.flow_slug = r.flow_slug and s.version = r.version offset 0
    ) s
    cross join lateral (select h.start_delay from pgflow.handlers h where h.handler_id = s.handler_id offset 0) h
    where b.run_id is not null
  ), states as (
    insert into pgflow.step_states (run_id, step_index, step_slug, status, remaining_deps, initial_tasks, remaining_tasks,
      output, seq, created_at, started_at, completed_at)
    select p.run_id, p.step_index, p.step_slug, case when p.tasks = 0 then 'completed' else 'created' end,
      p.dep_count, p.tasks, p.tasks, case when p.tasks = 0 then '[]'::jsonb end, 1, _now,
      case when p.tasks = 0 then _now end, case when p.tasks = 0 then _now end
    from placed p
  ), queued as (
    insert into pgflow.step_tasks (run_id, step_index, task_index, step_slug, handler_id, available_at, item)
    select p.run_id, p.step_index, i.task_index, p.step_slug, p.handler_id, p.available_at, i.item
    from placed p
    cross join lateral (
      select 0 as task_index, null::jsonb as item where p.kind = 'single'
      union all
      select (e.ordinality - 1)::int, e.value
      from pg_catalog.jsonb_array_elements(case when p.kind = 'map' then p.input end) with ordinality e
    ) i
    where p.tasks > 0
  )
  select min(p.available_at) filter (where p.tasks > 0),
    array_agg(p.run_id) filter (where p.tasks = 0), array_agg(p.step_index) filter (where p.tasks = 0)
  into _ready_at, _empty_runs, _empty_steps
  from placed p;

  if _empty_runs is not null then
    select a.ended_runs, a.ready_at into _ended_runs, _later_at
    from pgflow.advance_steps(_empty_runs, _empty_steps, '{}', _now) a;
    _ready_at := least(_ready_at, _later_at);
    perform pgflow.end_changes(_empty_runs, _empty_runs || _ended_runs, null, null, _now);
  end if;

  return query select c.* from pgflow.read_changes(_all_runs, pg_catalog.array_fill(0, array[pg_catalog.cardinality(_all_runs)])) c;
  for _row.run_id in select unnest(_existing) loop
    _row.kind := 'existing';
    return next _row;
  end loop;
  if _ready_at is not null then
    _row := null;
    _row.kind := 'ready';
    _row.available_at := _ready_at;
    return next _row;
  end if;
  if notify then
    perform pgflow.notify_changes(run_ids, pg_catalog.array_fill(1, array[pg_catalog.cardinality(run_ids)]), _ready_at is not null);
  end if;
end $$;
