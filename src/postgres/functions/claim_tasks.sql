-- Hands due tasks to a worker, the longest due first, at most `batch` of the handlers that it has.
-- Touches tasks only. Raises PF007 when the worker was taken for dead: it must register again. The run's input and the outputs of the step's dependencies come once for each
-- run and step of the batch, with the first of its tasks.
create function pgflow.claim_tasks(worker_id int, handler_ids int[], batch int)
returns table (
  run_id uuid, step_index int, task_index int, handler_id int, claim int, attempt int, started_at timestamptz,
  item jsonb, waited float8, timeout float8, root_run_id uuid, first boolean, input jsonb, deps jsonb
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  _now timestamptz := pgflow.now();
begin
  -- Held until the claim is committed, so that nobody rescues this worker's tasks before it can see these.
  perform 1 from pgflow.workers w where w.worker_id = claim_tasks.worker_id for key share;
  if not found then
    raise exception using errcode = 'PF007', message = claim_tasks.worker_id::text;
  end if;

  return query
  with due as materialized (
    select t.ctid as tid, t.available_at from pgflow.step_tasks t
    where t.available_at <= _now and t.handler_id = any (handler_ids)
    order by t.available_at
    limit batch for no key update skip locked
  ), claimed as (
    update pgflow.step_tasks t set status = 'started', attempt = t.attempt + 1, claim = t.claim + 1,
      worker_id = claim_tasks.worker_id, started_at = _now, available_at = null
    from due d where t.ctid = d.tid
    returning t.run_id, t.step_index, t.task_index, t.handler_id, t.claim, t.attempt, t.started_at, t.item,
      extract(epoch from _now - d.available_at)::float8 as waited
  ), numbered as (
    select c.*, pg_catalog.row_number() over (partition by c.run_id, c.step_index order by c.task_index) as nth
    from claimed c
  )
  select n.run_id, n.step_index, n.task_index, n.handler_id, n.claim, n.attempt, n.started_at, n.item,
    n.waited, h.timeout, r.root_run_id, n.nth = 1, r.input, d.outputs
  from numbered n
  cross join lateral (
    select r.root_run_id, r.flow_slug, r.version, case when n.nth = 1 then r.input end as input
    from pgflow.runs r where r.run_id = n.run_id offset 0
  ) r
  cross join lateral (select h.timeout from pgflow.handlers h where h.handler_id = n.handler_id offset 0) h
  left join lateral (
    select pg_catalog.jsonb_object_agg(t.step_slug, t.output) as outputs
    from pgflow.steps s
    cross join lateral unnest(s.depends_on) o(step_index)
    cross join lateral (
      select t.step_slug, t.output from pgflow.step_states t
      where t.run_id = n.run_id and t.step_index = o.step_index and t.status = 'completed' offset 0
    ) t
    where n.nth = 1 and s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = n.step_index
  ) d on true;
end $$;
