import type { ReactNode } from 'react';

import { PageHeader } from '@/ui/PageHeader.tsx';

export function VolumesPage(): ReactNode {
  return <PageHeader title="Volumes" />;
}
