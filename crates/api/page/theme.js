// Applies the chosen theme before the first paint. A classic script, as modules run later.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem('messenger.theme');
  } catch {
    // Storage is blocked: the system's theme is used.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
})();
