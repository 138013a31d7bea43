-- Starts a new run of a failed or cancelled one, on the same version with the same input and tags. Completed
-- steps and completed tasks of maps are taken over and do not run again; all else is as new.
-- Raises PF005 when there is no such run, PF006 when it is under way or completed.
-- Returns the new run as a change since 0, and a row `ready`.
create function pgflow.retry_run(old_id uuid, new_id uuid, notify boolean default true) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  _old record;
  _kept pgflow.done_step[]; _roots pgflow.open_step[];
  _ready_at timestamptz; _row pgflow.change_row;
begin
  select r.*, v.step_count into _old
  from pgflow.runs r join pgflow.flow_versions v on v.flow_slug = r.flow_slug and v.version = r.version
  where r.run_id = old_id for share of r;
  if not found then
    raise exception using errcode = 'PF005', message = old_id::text;
  elsif _old.status not in ('failed', 'cancelled') then
    raise exception using errcode = 'PF006', message = pg_catalog.jsonb_build_object('runId', old_id, 'status', _old.status);
  end if;

  insert into pgflow.runs (run_id, flow_slug, version, status, input, given_input, remaining_steps, seq, started_at,
    retry_of, root_run_id)
  values (new_id, _old.flow_slug, _old.version, 'started', _old.input, _old.given_input, _old.step_count, 0, _now,
    old_id, _old.root_run_id);
  insert into pgflow.run_tags (tag, started_at, run_id)
  select t.tag, _now, new_id from pgflow.run_tags t where t.run_id = old_id;
  insert into pgflow.run_steps
    (run_id, task_index, step_index, step_slug, status, remaining_deps, told_attempt, seq, created_at, handler_id, fed_map, is_leaf)
  select new_id, s.state_index, s.step_index, s.step_slug, 'created', s.dep_count, 0, 1, _now,
    s.handler_id, s.fed_map, s.dependents = '{}'
  from pgflow.steps s where s.flow_slug = _old.flow_slug and s.version = _old.version;
  _roots := array(
    select row(new_id, s.step_index, null, _now)::pgflow.open_step
    from pgflow.steps s where s.flow_slug = _old.flow_slug and s.version = _old.version and s.dep_count = 0
  );
  with kept as (
    update pgflow.run_steps t set status = 'completed', initial_tasks = o.initial_tasks, remaining_tasks = 0,
      told_attempt = o.told_attempt, output = o.output, progress = o.progress, started_at = o.started_at,
      completed_at = o.completed_at, task_status = o.task_status, attempt = o.attempt, claim = o.claim,
      task_started_at = o.task_started_at, ended_at = o.ended_at
    from pgflow.run_steps o
    where o.run_id = old_id and o.task_index <= 0 and o.status = 'completed'
      and t.run_id = new_id and t.task_index = o.task_index and t.step_index = o.step_index
    returning t.step_index
  )
  select coalesce(array_agg(row(new_id, k.step_index, false)::pgflow.done_step), '{}') into _kept from kept k;
  _ready_at := (
    select e.ready_at from pgflow.end_changes(array[new_id], array[pg_catalog.cardinality(_kept)], _kept, _roots,
      '{}', '{}', null, null, 0, _now, false, null, null) e
  );

  -- Completed tasks of maps count as such, also where the map was not completed.
  insert into pgflow.run_steps as t (run_id, task_index, step_index, step_slug, handler_id, is_leaf, task_status, attempt,
    claim, item, output, task_started_at, ended_at)
  select new_id, o.task_index, o.step_index, o.step_slug, o.handler_id, o.is_leaf, o.task_status, o.attempt,
    o.claim, o.item, o.output, o.task_started_at, o.ended_at
  from pgflow.run_steps o
  join pgflow.run_steps s
    on s.run_id = new_id and s.task_index = -1 and s.step_index = o.step_index and s.initial_tasks is not null
  where o.run_id = old_id and o.task_index >= 0 and o.task_status = 'completed'
  on conflict (run_id, task_index, step_index) do update set task_status = excluded.task_status, attempt = excluded.attempt,
    claim = excluded.claim, output = excluded.output, task_started_at = excluded.task_started_at, ended_at = excluded.ended_at,
    available_at = null;
  update pgflow.run_steps t set remaining_tasks = t.remaining_tasks - c.completed, told_attempt = c.attempt
  from (
    select k.step_index, count(*)::int as completed, max(k.attempt) as attempt from pgflow.run_steps k
    where k.run_id = new_id and k.task_index >= 0 and k.item is not null and k.task_status = 'completed' group by k.step_index
  ) c
  where t.run_id = new_id and t.task_index = -1 and t.step_index = c.step_index and t.status in ('created', 'cancelled');

  return query select c.* from pgflow.changed_rows(array[new_id], array[0]) c;
  if _ready_at is not null then
    _row.kind := 'ready';
    _row.available_at := _ready_at;
    return next _row;
  end if;
  if notify then
    perform pgflow.notify_changes(array[new_id], array[1], _ready_at is not null);
  end if;
end $$;
