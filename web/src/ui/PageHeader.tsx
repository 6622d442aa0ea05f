import { type ReactNode, useEffect } from 'react';

/** The title row of a page: its one h1 (which takes the focus after navigation), a note, and actions. */
export function PageHeader({
  title,
  heading,
  note,
  actions,
}: {
  title: string;
  heading?: ReactNode;
  note?: ReactNode;
  actions?: ReactNode;
}): ReactNode {
  useEffect(() => {
    document.title = `${title} · ContainerOS`;
  }, [title]);
  return (
    <header className="z-20 -mx-6 flex min-h-(--head) flex-wrap items-center gap-x-3 gap-y-2 bg-canvas px-6 py-2 max-sm:-mx-4 max-sm:px-4 max-sm:py-3 sm:sticky sm:top-0">
      <h1 tabIndex={-1} className="min-w-0 text-xl font-semibold break-words">
        {heading ?? title}
      </h1>
      {note && <div className="flex min-w-0 flex-wrap items-center gap-x-3 gap-y-1 text-muted">{note}</div>}
      {actions && <div className="ml-auto flex flex-wrap items-center gap-2">{actions}</div>}
    </header>
  );
}
