/** Every URL of the page. Ids and names are encoded here and nowhere else. */
const segment = encodeURIComponent;

export type ContainerTab = 'overview' | 'logs' | 'stats' | 'inside' | 'inspect';

function container(engine: string, id: string, tab: ContainerTab = 'overview'): string {
  const base = `/containers/${segment(engine)}/${segment(id)}`;
  return tab === 'overview' ? base : `${base}/${tab}`;
}

function withQuery(path: string, query: Readonly<Record<string, string | undefined>>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) search.set(key, value);
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

export const paths = {
  dashboard: () => '/',
  setup: () => '/setup',
  login: (next?: string) => withQuery('/login', { next }),
  password: () => '/password',
  containers: (query: { state?: string; q?: string; engine?: string } = {}) => withQuery('/containers', query),
  containerNew: (query: { engine?: string; image?: string } = {}) => withQuery('/containers/new', query),
  container,
  images: (query: { q?: string } = {}) => withQuery('/images', query),
  volumes: (query: { q?: string } = {}) => withQuery('/volumes', query),
  compare: (run?: string) => withQuery('/compare', { run }),
  settings: () => '/settings',
} as const;
