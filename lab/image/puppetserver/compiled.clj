;; compiled.clj JAR: all that Puppet Server's services are made of, compiled.
(require '[clojure.java.io :as io] '[clojure.string :as string])
(import '(java.io File FileOutputStream) '(java.util.jar JarEntry JarOutputStream))

(def classes (io/file *compile-path*))

(def services
  (for [file ["bootstrap.cfg" "ca.cfg"]
        line (string/split-lines (slurp (str "/etc/puppet/puppetserver/services.d/" file)))
        :let [[namespace service] (string/split (string/trim line) #"/")]
        :when (and service (not (string/starts-with? line "#")))]
    (symbol namespace)))

(doseq [namespace (distinct (cons 'puppetlabs.trapperkeeper.main services))]
  (compile namespace))

(with-open [out (JarOutputStream. (FileOutputStream. ^String (first *command-line-args*)))]
  (doseq [^File file (file-seq classes) :when (.isFile file)]
    (.putNextEntry out (JarEntry. (str (.relativize (.toPath classes) (.toPath file)))))
    (with-open [in (io/input-stream file)] (io/copy in out))
    (.closeEntry out)))
(System/exit 0)
