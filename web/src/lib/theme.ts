import { createStore } from 'zustand/vanilla';

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
export const DENSITIES = ['dense', 'comfortable'] as const;
export type Density = (typeof DENSITIES)[number];

// public/theme.js reads the same key before the first paint.
const THEME_KEY = 'containeros.theme';
const DENSITY_KEY = 'containeros.density';

function stored<T extends string>(key: string, allowed: readonly T[], fallback: T): T {
  try {
    const value = localStorage.getItem(key);
    return allowed.find((one) => one === value) ?? fallback;
  } catch {
    return fallback;
  }
}

export const appearance = createStore<{ theme: Theme; density: Density }>()(() => ({
  theme: stored(THEME_KEY, THEMES, 'system'),
  density: stored(DENSITY_KEY, DENSITIES, 'dense'),
}));

const prefersLight = typeof matchMedia === 'function' ? matchMedia('(prefers-color-scheme: light)') : null;

function apply(): void {
  const { theme, density } = appearance.getState();
  const light = theme === 'light' || (theme === 'system' && (prefersLight?.matches ?? false));
  document.documentElement.dataset['theme'] = light ? 'light' : 'dark';
  document.documentElement.dataset['density'] = density;
}

/** Keeps the document in step with the choice and with the system's theme. Called once at start. */
export function startAppearance(): void {
  appearance.subscribe(apply);
  prefersLight?.addEventListener('change', apply);
  apply();
}

export function setTheme(theme: Theme): void {
  localStorage.setItem(THEME_KEY, theme);
  appearance.setState({ theme });
}

export function setDensity(density: Density): void {
  localStorage.setItem(DENSITY_KEY, density);
  appearance.setState({ density });
}
