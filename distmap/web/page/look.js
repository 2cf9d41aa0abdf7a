// The light or the dark look, set before anything is drawn; so this is no module.
// @ts-check

{
  const NAME = "distmap-look"
  const root = document.documentElement
  const dark = matchMedia("(prefers-color-scheme: dark)")

  /** What was chosen; null if the system decides. Some browsers forbid storage. */
  const chosen = () => {
    try {
      return localStorage.getItem(NAME)
    } catch {
      return null
    }
  }

  /** @param {string | null} look */
  const choose = (look) => {
    try {
      if (look === null) localStorage.removeItem(NAME)
      else localStorage.setItem(NAME, look)
    } catch {
      // It holds until the page is closed.
    }
    show(look)
  }

  /** @param {string | null} look */
  const show = (look) => {
    if (look === "light" || look === "dark") root.dataset.look = look
    else delete root.dataset.look
    const button = document.getElementById("look")
    if (button === null) return
    const other = isDark() ? "Light look" : "Dark look"
    button.setAttribute("aria-label", other)
    button.title = other
  }

  const isDark = () => (root.dataset.look ?? (dark.matches ? "dark" : "light")) === "dark"

  show(chosen())
  addEventListener("DOMContentLoaded", () => {
    show(chosen())
    document.getElementById("look")?.addEventListener("click", () => {
      const look = isDark() ? "light" : "dark"
      // Whoever wants what the system wants follows it from now on.
      choose((look === "dark") === dark.matches ? null : look)
    })
  })
  dark.addEventListener("change", () => show(root.dataset.look ?? null))
  addEventListener("storage", (event) => event.key === NAME && show(event.newValue))
}
