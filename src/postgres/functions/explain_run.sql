-- Why each step of a run that has not ended waits: one row for each step and reason, with how many tasks.
-- dependencies: for the steps in `waits_for`. delayed, retrying: until `due_at`. no_worker: nobody who is
-- alive has its handler. busy: those who have it are at work on other tasks. running: since `since`.
create function pgflow.explain_run(target uuid)
returns table (
  step_index int, step_slug text, status text, reason text, tasks int, waits_for jsonb, due_at timestamptz,
  since timestamptz, last_error text
)
language sql volatile set search_path = ''
as $$
  select s.step_index, s.step_slug, s.status, w.reason, w.tasks, w.waits_for, w.due_at, w.since, w.last_error
  from pgflow.runs r
  join pgflow.step_states s on s.run_id = r.run_id
  join pgflow.steps d on d.flow_slug = r.flow_slug and d.version = r.version and d.step_index = s.step_index
  cross join lateral (
    select 'dependencies' as reason, 0 as tasks,
      pg_catalog.to_jsonb(array(select p.step_slug from unnest(d.depends_on || d.over) i
        join pgflow.step_states p on p.run_id = r.run_id and p.step_index = i
        where p.status in ('created', 'started') order by p.step_index)) as waits_for,
      null::timestamptz as due_at, null::timestamptz as since, null::text as last_error
    where s.initial_tasks is null
    union all
    select t.reason, count(*)::int, null, min(t.available_at), min(t.started_at), max(t.error_message)
    from (
      select k.available_at, k.error_message, case when k.status = 'started' then k.started_at end as started_at,
        case when k.status = 'started' then 'running'
          when k.available_at > pgflow.now() then case when k.attempt = 0 then 'delayed' else 'retrying' end
          when exists (select from pgflow.workers w where k.handler_id = any (w.handler_ids) and w.expires_at >= pgflow.now())
            then 'busy'
          else 'no_worker' end as reason
      from pgflow.step_tasks k
      where k.run_id = r.run_id and k.task_index < s.initial_tasks and k.step_index = s.step_index and k.status in ('queued', 'started')
    ) t
    group by t.reason
  ) w
  where r.run_id = target and r.status = 'started' and s.status in ('created', 'started')
  order by s.step_index, w.reason
$$;
