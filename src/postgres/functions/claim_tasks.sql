-- Hands due tasks to a worker, the longest due first, at most `batch` of the handlers that it has.
-- Touches tasks only. Raises PF007 when the worker was taken for dead: it must register again.
-- Returns rows `claim`; the run's input and the outputs of the step's dependencies come once for each run and step
-- of the batch, with the first of its tasks; of steps that are known they do not come.
create function pgflow.claim_tasks(
  claimant int, handler_ids int[], batch int, known_runs uuid[] default '{}', known_steps int[] default '{}'
) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  _candidates int := least(batch * 4, batch + 300);
begin
  -- Held until the claim is committed, so that nobody rescues this worker's tasks before it can see these.
  perform 1 from pgflow.workers w where w.worker_id = claimant for key share;
  if not found then
    raise exception using errcode = 'PF007', message = claimant::text;
  end if;

  return query
  with due as materialized (
    select t.tid, t.available_at
    from (
      -- More than asked for, since others may be claiming the first of them.
      select q.tid, q.available_at
      from unnest(handler_ids) h(handler_id)
      cross join lateral (
        select t.ctid as tid, t.available_at from pgflow.run_steps t
        where t.handler_id = h.handler_id and t.available_at <= _now
        order by t.available_at limit _candidates
      ) q
      order by q.available_at limit _candidates
    ) q
    cross join lateral (
      select q.tid, t.available_at from pgflow.run_steps t
      where t.ctid = q.tid and t.available_at <= _now for no key update skip locked
    ) t
    limit batch
  ), claimed as (
    update pgflow.run_steps t set task_status = 'started', attempt = t.attempt + 1, claim = t.claim + 1,
      worker_id = claimant, task_started_at = _now, available_at = null
    from due d
    where t.ctid = d.tid
    returning t.run_id, t.step_index, t.task_index, t.handler_id, t.claim, t.attempt, t.task_started_at as started_at, t.item, d.available_at
  )
  select 'claim', c.run_id, null::int, null::int, null, null::int, null::jsonb, null::jsonb,
    c.started_at, null::timestamptz, null::timestamptz, null::timestamptz,
    null, null, null::int, r.input, null::uuid,
    c.step_index, null, null::int, null::int, c.attempt, null, null,
    null::timestamptz, null::timestamptz, null::jsonb, null::int[], c.task_index, c.claim, c.available_at,
    c.handler_id, h.timeout, r.root_run_id, c.item, d.outputs, null::int
  from (
    select c.*, pg_catalog.row_number() over (partition by c.run_id, c.step_index order by c.task_index) = 1
      and (known_runs = '{}' or not exists (
        select 1 from unnest(known_runs, known_steps) k(run_id, step_index)
        where k.run_id = c.run_id and k.step_index = c.step_index
      )) as is_first
    from claimed c
  ) c
  cross join lateral (select h.timeout from pgflow.handlers h where h.handler_id = c.handler_id offset 0) h
  cross join lateral (
    select r.root_run_id, r.flow_slug, r.version, case when c.is_first then r.input end as input
    from pgflow.runs r where r.run_id = c.run_id offset 0
  ) r
  left join lateral (
    select coalesce(pg_catalog.jsonb_object_agg(t.step_slug, t.output), '{}') as outputs
    from pgflow.steps s
    cross join lateral unnest(s.depends_on) o(step_index)
    cross join lateral (
      select t.step_slug, t.output from pgflow.run_steps t
      where t.run_id = c.run_id and t.task_index in (-1, 0) and t.step_index = o.step_index and t.status = 'completed' offset 0
    ) t
    where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = c.step_index
  ) d on c.is_first;
end $$;
