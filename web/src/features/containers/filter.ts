import { hasFailed } from '@/api/container-state.ts';
import type { ContainerSummary } from '@/api/schema.gen.ts';

/** The states people filter by: the engine's, and what its health check says. */
export const FILTERS = ['running', 'unhealthy', 'paused', 'restarting', 'created', 'exited', 'failed'] as const;

export function inState(container: ContainerSummary, filter: string): boolean {
  const { state, health } = container;
  switch (filter) {
    case '':
      return true;
    case 'unhealthy':
      return state === 'running' && health === 'unhealthy';
    case 'failed':
      return hasFailed(container);
    default:
      return state === filter;
  }
}

function matchesWord(container: ContainerSummary, word: string): boolean {
  if (word.startsWith('label:')) {
    const [key = '', value] = word.slice('label:'.length).split('=', 2);
    return Object.entries(container.labels).some(
      ([name, text]) => name.toLowerCase() === key && (value === undefined || text.toLowerCase() === value),
    );
  }
  const fields = [container.name, container.image, container.project, container.service, container.engine];
  return (
    fields.some((field) => field?.toLowerCase().includes(word)) ||
    container.id.startsWith(word) ||
    container.ports.some((port) => String(port.host_port) === word || String(port.container_port) === word) ||
    Object.entries(container.labels).some(([key, value]) => `${key}=${value}`.toLowerCase().includes(word))
  );
}

/** Whether every word is found: in name, image, project, engine, ports, labels, or at the start of the id. */
export function matchesText(container: ContainerSummary, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => matchesWord(container, word));
}
